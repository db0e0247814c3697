package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// jobLen bounds the name of a job.
const jobLen = 32

// SchedulerJob is which instance may run a job, and when it was last begun: of all instances that share the database, one
// runs it in each period. The ID is the job's name.
type SchedulerJob struct{ ent.Schema }

// Fields of the SchedulerJob.
func (SchedulerJob) Fields() []ent.Field {
	return []ent.Field{
		field.String("id").MaxLen(jobLen).NotEmpty().Immutable(),
		field.String("holder").MaxLen(idLen).Default("").Comment("Names the run that holds the job, or held it last."),
		optionalTimestamp("claimed_at"), // when it was last begun
		optionalTimestamp("held_until"), // until then nobody else may begin; a run that ends in time clears it
		field.String("position").MaxLen(keyLen).Default("").Comment("Where the next run goes on, of a job that compares so much in one run and no more."),
	}
}

// SchedulerRun is one run of a job.
type SchedulerRun struct{ ent.Schema }

// Fields of the SchedulerRun.
func (SchedulerRun) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("id").Immutable(),
		field.String("job").MaxLen(jobLen).NotEmpty().Immutable(),
		field.String("instance").MaxLen(idLen).Immutable(),
		fixedTimestamp("started_at"),
		field.Int64("duration_micros").NonNegative().Immutable(),
		field.JSON("result", map[string]int64{}).Immutable().Comment(`What was done, as counts: {"orders": 3}.`),
		field.String("error").Validate(upTo(MaxJobError)).Annotations(wide(MaxJobError)).Default("").Immutable(),
	}
}

// Indexes of the SchedulerRun: the last runs of a job, and retention.
func (SchedulerRun) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("job", "id"),
		index.Fields("started_at"),
	}
}

// DriftReport is a balance of which Redis said something else than the database, changes in flight considered.
type DriftReport struct{ ent.Schema }

// Fields of the DriftReport.
func (DriftReport) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("id").Immutable(),
		field.String("family").MaxLen(16).Immutable(),
		field.String("balance").MaxLen(keyLen).Immutable(),
		field.Int64("redis_amount"),
		field.Int64("redis_seq"),
		field.Int64("database_amount"),
		field.Int64("database_applied"),
		field.Int64("expected_amount").Comment("What Redis had to say: the database's amount and the changes in flight."),
		field.Int("in_flight").NonNegative().Comment("Changes that Redis had admitted and the database did not hold yet."),
		field.Bool("repaired").Default(false),
		timestamp("seen_at"),
	}
}

// LimitDrift is a balance that counts what one customer has ordered, and that has counted something else than there is in orders. It is corrected
// by one change, whose ID is made of that of the row.
type LimitDrift struct{ ent.Schema }

// Fields of the LimitDrift.
func (LimitDrift) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("id").Immutable(),
		field.String("balance").MaxLen(keyLen).Immutable(),
		field.Int64("counted").Comment("What the balance said."),
		field.Int64("ordered").Comment("What the orders said."),
		field.Bool("corrected").Default(false),
		timestamp("seen_at"),
	}
}

// Indexes of the LimitDrift: what is still wrong, and retention.
func (LimitDrift) Indexes() []ent.Index {
	return []ent.Index{index.Fields("corrected", "balance"), index.Fields("seen_at")}
}

// Indexes of the DriftReport: what is still wrong, and retention.
func (DriftReport) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("repaired", "family", "balance"),
		index.Fields("seen_at"),
	}
}
