import com.fasterxml.jackson.databind.ObjectMapper;
import io.cloudevents.CloudEvent;
import io.cloudevents.kafka.CloudEventDeserializer;
import java.time.Duration;
import java.time.format.DateTimeFormatter;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;

/** Prints the first records of a topic as the CloudEvents SDK reads them, a JSON line each. Arguments: brokers, topic, count. */
public class Read {
    public static void main(String[] args) throws Exception {
        var json = new ObjectMapper();
        var settings = Map.<String, Object>of("bootstrap.servers", args[0]);
        try (var consumer = new KafkaConsumer<String, CloudEvent>(settings, new StringDeserializer(), new CloudEventDeserializer())) {
            var partitions = consumer.partitionsFor(args[1]).stream().map(it -> new TopicPartition(args[1], it.partition())).toList();
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            for (int left = Integer.parseInt(args[2]); left > 0; ) {
                for (var record : consumer.poll(Duration.ofSeconds(1))) {
                    var event = record.value();
                    var read = new LinkedHashMap<String, Object>();
                    read.put("id", event.getId());
                    read.put("type", event.getType());
                    read.put("source", event.getSource().toString());
                    read.put("subject", event.getSubject());
                    read.put("time", event.getTime().format(DateTimeFormatter.ISO_INSTANT));
                    read.put("dataschema", event.getDataSchema().toString());
                    read.put("datacontenttype", event.getDataContentType());
                    read.put("data", json.readTree(event.getData().toBytes()));
                    System.out.println(json.writeValueAsString(read));
                    left -= 1;
                }
            }
        }
    }
}
