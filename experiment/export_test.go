package experiment

// For tests from outside.
var (
	WithoutAccepted = withoutAccepted
	AckOf           = ackOf
	Anomalies       = anomalies
)
