// Prints the first records of a topic as the CloudEvents SDK reads them, a JSON line each. Arguments: brokers, topic, count.
package main

import (
	"context"
	"encoding/json"
	"log"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/IBM/sarama"
	"github.com/cloudevents/sdk-go/protocol/kafka_sarama/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
)

func main() {
	topic := os.Args[2]
	count := must(strconv.Atoi(os.Args[3]))
	settings := sarama.NewConfig()
	settings.Version = sarama.V2_1_0_0
	consumer := must(sarama.NewConsumer(strings.Split(os.Args[1], ","), settings))
	records := make(chan *sarama.ConsumerMessage)
	for _, partition := range must(consumer.Partitions(topic)) {
		reader := must(consumer.ConsumePartition(topic, partition, sarama.OffsetOldest))
		go func() {
			for record := range reader.Messages() {
				records <- record
			}
		}()
	}
	out := json.NewEncoder(os.Stdout)
	for range count {
		message := kafka_sarama.NewMessageFromConsumerMessage(<-records)
		event := must(binding.ToEvent(context.Background(), message))
		var subject any
		if event.Subject() != "" {
			subject = event.Subject()
		}
		if err := out.Encode(map[string]any{
			"id": event.ID(), "type": event.Type(), "source": event.Source(), "subject": subject,
			"time": event.Time().UTC().Format(time.RFC3339), "dataschema": event.DataSchema(),
			"datacontenttype": event.DataContentType(), "data": json.RawMessage(event.Data()),
		}); err != nil {
			log.Fatal(err)
		}
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}
