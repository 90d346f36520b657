import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Reads the topic, counts each event once, and prints the totals as JSON after every batch. Arguments: brokers, group, topic. */
public class Consume {
    /** Ids; in production a table with a unique key. */
    static final int REMEMBERED = 1_000_000;
    static final Set<String> KNOWN = Set.of("card.received", "card.viewed", "card.consumed", "card.deleted");

    public static void main(String[] args) throws Exception {
        Map<String, Object> settings = Map.of(
            "bootstrap.servers", args[0],
            "group.id", args[1],
            "auto.offset.reset", "earliest",
            "enable.auto.commit", false);
        var seen = new LinkedHashMap<String, Boolean>() {
            @Override
            protected boolean removeEldestEntry(Map.Entry<String, Boolean> eldest) {
                return size() > REMEMBERED;
            }
        };
        var json = new ObjectMapper();
        long records = 0, skipped = 0, events = 0, unknown = 0;
        var received = new TreeMap<String, Long>();
        try (var consumer = new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.subscribe(List.of(args[2]));
            while (true) {
                for (var record : consumer.poll(Duration.ofSeconds(1))) {
                    records++;
                    if (record.value() == null) { // a tombstone
                        skipped++;
                        continue;
                    }
                    JsonNode event = json.readTree(record.value());
                    if (seen.put(event.get("event_id").asText(), true) != null) {
                        continue;
                    }
                    events++;
                    String type = event.get("event_type").asText();
                    if (!KNOWN.contains(type)) { // never an error: new types come without notice
                        unknown++;
                    } else if (type.equals("card.received")) {
                        received.merge(event.path("outer_str").isNull() ? "-" : event.get("outer_str").asText(), 1L, Long::sum);
                    }
                }
                consumer.commitSync(); // after the work: at least once
                System.out.println(json.writeValueAsString(Map.of("records", records, "skipped", skipped,
                    "events", events, "unknown", unknown, "received", received)));
            }
        }
    }
}
