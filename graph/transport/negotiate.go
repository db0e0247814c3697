package transport

import (
	"mime"
	"strconv"
	"strings"
)

// negotiate returns the media type for a response to a client with these Accept headers. Without a
// header it is mediaJSON, which every client reads. It returns false if the client accepts neither.
func negotiate(accept []string) (media string, ok bool) {
	ranges := strings.Split(strings.Join(accept, ","), ",")
	best := map[string]float64{} // the quality that the most specific range gives each media type
	for _, want := range []string{mediaResponse, mediaJSON} {
		specific := -1
		for _, text := range ranges {
			name, params, err := mime.ParseMediaType(text)
			// wildcards is 0 for an exact name, 1 for application/*, 2 for */*.
			wildcards := strings.Count(strings.Replace(name, "*/*", "**", 1), "*")
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
			if 2-wildcards > specific {
				specific, best[want] = 2-wildcards, quality
			}
		}
	}
	response, plain := best[mediaResponse], best[mediaJSON]
	switch {
	case strings.TrimSpace(strings.Join(accept, "")) == "":
		return mediaJSON, true
	case response <= 0 && plain <= 0:
		return "", false
	case response > plain, response == plain && isNamed(ranges, mediaResponse):
		return mediaResponse, true
	}
	return mediaJSON, true
}

// isNamed reports whether a media type is in ranges by its name, not by a wildcard only.
func isNamed(ranges []string, media string) bool {
	for _, text := range ranges {
		if name, _, err := mime.ParseMediaType(text); err == nil && name == media {
			return true
		}
	}
	return false
}
