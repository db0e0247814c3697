package transport

import (
	"mime"
	"strconv"
	"strings"
)

// negotiate picks the media type of the answer. Who does not ask gets the one that every client reads.
func negotiate(accept []string) (media string, ok bool) {
	ranges := strings.Split(strings.Join(accept, ","), ",")
	best := map[string]float64{} // the quality that the most specific range gives each media type
	for _, want := range []string{mediaResponse, mediaJSON} {
		specific := -1
		for _, text := range ranges {
			name, params, err := mime.ParseMediaType(text)
			level := strings.Count(strings.Replace(name, "*/*", "**", 1), "*") // 0 exact, 1 application/*, 2 */*
			if err != nil || name != want && name != "application/*" && name != "*/*" {
				continue
			}
			if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
				continue
			}
			quality, err := strconv.ParseFloat(params["q"], 64)
			if err != nil {
				quality = 1
			}
			if 2-level > specific {
				specific, best[want] = 2-level, quality
			}
		}
	}
	response, plain := best[mediaResponse], best[mediaJSON]
	switch {
	case strings.TrimSpace(strings.Join(accept, "")) == "":
		return mediaJSON, true
	case response <= 0 && plain <= 0:
		return "", false
	case response > plain, response == plain && named(ranges, mediaResponse):
		return mediaResponse, true
	}
	return mediaJSON, true
}

// named tells a media type that was asked for by its name from one that a wildcard covers.
func named(ranges []string, media string) bool {
	for _, text := range ranges {
		if name, _, err := mime.ParseMediaType(text); err == nil && name == media {
			return true
		}
	}
	return false
}
