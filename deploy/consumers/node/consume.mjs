// Reads the topic, counts each event once, and prints the totals as JSON after every batch.
// Arguments: brokers, group, topic.
import kafkajs from 'kafkajs';
import lz4 from 'lz4js';

const { Kafka, CompressionCodecs, CompressionTypes, logLevel } = kafkajs;
// KafkaJS brings gzip only.
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async ({ buffer }) => Buffer.from(lz4.compress(buffer)),
  decompress: async (buffer) => Buffer.from(lz4.decompress(buffer)),
});

const REMEMBERED = 1_000_000; // ids; in production a table with a unique key
const KNOWN = new Set(['card.received', 'card.viewed', 'card.consumed', 'card.deleted']);
const [brokers, group, topic] = process.argv.slice(2);
const kafka = new Kafka({ brokers: brokers.split(','), logLevel: logLevel.ERROR });
const consumer = kafka.consumer({ groupId: group });
const seen = new Set();
const totals = { records: 0, skipped: 0, events: 0, unknown: 0, received: {} };

function count(value) {
  totals.records += 1;
  if (value === null) { // a tombstone
    totals.skipped += 1;
    return;
  }
  const event = JSON.parse(value);
  if (seen.has(event.event_id)) return;
  seen.add(event.event_id);
  if (seen.size > REMEMBERED) seen.delete(seen.values().next().value);
  totals.events += 1;
  if (!KNOWN.has(event.event_type)) { // never an error: new types come without notice
    totals.unknown += 1;
  } else if (event.event_type === 'card.received') {
    const channel = event.outer_str ?? '-';
    totals.received[channel] = (totals.received[channel] ?? 0) + 1;
  }
}

await consumer.connect();
await consumer.subscribe({ topic, fromBeginning: true });
await consumer.run({
  // The batch's offsets are committed when this has ended: at least once.
  eachBatch: async ({ batch }) => {
    for (const record of batch.messages) count(record.value);
    console.log(JSON.stringify(totals));
  },
});
