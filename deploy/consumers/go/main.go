// Reads the topic, counts each event once, and prints the totals as JSON after every batch.
// Arguments: brokers, group, topic.
package main

import (
	"context"
	"encoding/json"
	"log"
	"os"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Ids; in production a table with a unique key.
const remembered = 1_000_000

var known = map[string]bool{"card.received": true, "card.viewed": true, "card.consumed": true, "card.deleted": true}

type event struct {
	ID       string  `json:"event_id"`
	Type     string  `json:"event_type"`
	OuterStr *string `json:"outer_str"`
}

type totals struct {
	Records  int            `json:"records"`
	Skipped  int            `json:"skipped"`
	Events   int            `json:"events"`
	Unknown  int            `json:"unknown"`
	Received map[string]int `json:"received"`

	seen  map[string]bool
	order []string
}

func (t *totals) count(value []byte) {
	t.Records++
	if value == nil { // a tombstone
		t.Skipped++
		return
	}
	var e event
	if err := json.Unmarshal(value, &e); err != nil {
		log.Fatal(err)
	}
	if t.seen[e.ID] {
		return
	}
	t.seen[e.ID] = true
	t.order = append(t.order, e.ID)
	if len(t.order) > remembered {
		delete(t.seen, t.order[0])
		t.order = t.order[1:]
	}
	t.Events++
	switch {
	case !known[e.Type]: // never an error: new types come without notice
		t.Unknown++
	case e.Type == "card.received" && e.OuterStr != nil:
		t.Received[*e.OuterStr]++
	case e.Type == "card.received":
		t.Received["-"]++
	}
}

func main() {
	brokers, group, topic := os.Args[1], os.Args[2], os.Args[3]
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(brokers, ",")...),
		kgo.ConsumerGroup(group),
		kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(),
	)
	if err != nil {
		log.Fatal(err)
	}
	sum := totals{Received: map[string]int{}, seen: map[string]bool{}}
	ctx := context.Background()
	for {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			log.Fatal(err)
		}
		fetches.EachRecord(func(record *kgo.Record) { sum.count(record.Value) })
		// After the work: at least once.
		if err := client.CommitUncommittedOffsets(ctx); err != nil {
			log.Fatal(err)
		}
		line, _ := json.Marshal(sum)
		os.Stdout.Write(append(line, '\n'))
	}
}
