// Prints the first records of a topic as the CloudEvents SDK reads them, a JSON line each. Arguments: brokers, topic, count.
import { Kafka as Binding } from 'cloudevents';
import kafkajs from 'kafkajs';
import lz4 from 'lz4js';

const { Kafka, CompressionCodecs, CompressionTypes, logLevel } = kafkajs;
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  decompress: async (buffer) => Buffer.from(lz4.decompress(buffer)),
});

const [brokers, topic, count] = process.argv.slice(2);
const kafka = new Kafka({ brokers: brokers.split(','), logLevel: logLevel.ERROR });
const consumer = kafka.consumer({ groupId: `cloudevents-${process.pid}` });
let left = Number(count);

function read({ key, value, headers }) {
  const texts = Object.fromEntries(Object.entries(headers).map(([name, bytes]) => [name, bytes.toString()]));
  const event = Binding.toEvent({ key, value: value.toString(), body: value.toString(), headers: texts });
  const { id, type, source, subject = null, time, dataschema, datacontenttype, data } = event;
  const whole = typeof data === 'string' ? JSON.parse(data) : data;
  return { id, type, source, subject, time, dataschema, datacontenttype, data: whole };
}

await consumer.connect();
await consumer.subscribe({ topic, fromBeginning: true });
await consumer.run({
  eachMessage: async ({ message }) => {
    if (left <= 0) return;
    console.log(JSON.stringify(read(message)));
    left -= 1;
    if (left === 0) process.exit(0);
  },
});
