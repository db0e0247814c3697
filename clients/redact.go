package clients

import "holdfast/config/setting"

// RedactURL replaces the passwords of a URL, or of several separated by commas, for logs and error messages, as a [setting.URL]
// does that is printed.
func RedactURL(address string) string { return setting.URL(address).String() }
