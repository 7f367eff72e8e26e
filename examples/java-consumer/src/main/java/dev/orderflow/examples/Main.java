package dev.orderflow.examples;

import dev.orderflow.examples.Contract.Broken;
import dev.orderflow.examples.Contract.Event;
import dev.orderflow.examples.Totals.DoesNotFit;
import java.net.URISyntaxException;
import java.nio.file.Path;
import java.sql.SQLException;
import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Reads all of orderflow's events, holds them against the published schemas and keeps running totals. See README.md. */
public final class Main {
    private static final List<String> CONTEXTS = List.of("users", "products", "orders", "payments");

    private Main() {}

    /** The command line; README.md says what the options mean. */
    public static void main(String[] arguments) throws Exception {
        Options options = Options.parse(arguments);
        Contract contract = new Contract(repository().resolve("examples/headers.schema.json"), options.schemas());
        try (Totals totals = new Totals(options.file())) {
            if (options.rewind()) {
                totals.rewind();
            }
            try (KafkaConsumer<byte[], byte[]> consumer = subscribe(options, totals)) {
                follow(consumer, contract, totals, options.untilEnd());
            }
            System.out.println(totals.read());
        }
    }

    /** A consumer that reads from where the totals stand. */
    private static KafkaConsumer<byte[], byte[]> subscribe(Options options, Totals totals) {
        Map<String, Object> settings = Map.of(
                "bootstrap.servers", options.brokers(),
                "group.id", options.group(),
                // A process that was killed has its partitions back at once. Where it still runs after all, it is stopped by the
                // next one under this name: the file has one writer.
                "group.instance.id", options.group(),
                // Only what the relay committed: with that every event is there once.
                "isolation.level", "read_committed",
                // Offsets are in the file. One that the topic does not have means that this is not the topic that was counted.
                "enable.auto.commit", false,
                "auto.offset.reset", "none",
                "max.poll.records", options.batch());
        var consumer = new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        List<String> topics = CONTEXTS.stream().map(context -> options.prefix() + "." + context + ".v1").toList();
        consumer.subscribe(topics, new ConsumerRebalanceListener() {
            @Override
            public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
                // All that was read is in the file.
            }

            @Override
            public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
                for (TopicPartition partition : partitions) {
                    begin(consumer, totals, partition);
                }
            }
        });
        return consumer;
    }

    private static void begin(KafkaConsumer<?, ?> consumer, Totals totals, TopicPartition partition) {
        try {
            OptionalLong next = totals.nextOffset(partition);
            if (next.isPresent()) {
                consumer.seek(partition, next.getAsLong());
            } else {
                consumer.seekToBeginning(List.of(partition));
            }
        } catch (SQLException error) {
            throw new IllegalStateException(error);
        }
    }

    /**
     * Reads until the end of the topics, or until it is killed: any moment is good enough to stop at, because what was not
     * committed to the file is read again.
     */
    private static void follow(KafkaConsumer<byte[], byte[]> consumer, Contract contract, Totals totals, boolean untilEnd)
            throws SQLException {
        while (true) {
            ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofSeconds(1));
            if (!records.isEmpty()) {
                for (ConsumerRecord<byte[], byte[]> message : records) {
                    handle(message, contract, totals);
                }
                totals.commit();
                System.out.println(totals.read());
            } else if (untilEnd && atEnd(consumer)) {
                return;
            }
        }
    }

    /** Counts a record, or reports why not; and goes past it either way. */
    private static void handle(ConsumerRecord<byte[], byte[]> message, Contract contract, Totals totals) throws SQLException {
        try {
            Event event = contract.read(message);
            if (event.data() == null) {
                System.err.printf(
                        "unknown %s[%d]@%d: no schema for %s%n",
                        message.topic(), message.partition(), message.offset(), event.type());
            }
            totals.count(event);
        } catch (Broken | DoesNotFit error) {
            System.err.printf(
                    "rejected %s[%d]@%d: %s%n", message.topic(), message.partition(), message.offset(), error.getMessage());
            totals.reject(message.topic(), message.partition(), message.offset(), error.getMessage());
        }
        totals.advance(message.topic(), message.partition(), message.offset());
    }

    /** Whether there is nothing more to read at the moment. */
    private static boolean atEnd(KafkaConsumer<?, ?> consumer) {
        Map<TopicPartition, Long> ends = consumer.endOffsets(consumer.assignment());
        return !ends.isEmpty() && ends.entrySet().stream().allMatch(end -> consumer.position(end.getKey()) >= end.getValue());
    }

    /** The repository that this program was built in: its jar is in {@code examples/java-consumer/target}. */
    private static Path repository() throws URISyntaxException {
        Path jar = Path.of(Main.class.getProtectionDomain().getCodeSource().getLocation().toURI());
        return jar.resolve("../../../..").normalize();
    }

    private record Options(
            String brokers, String prefix, String group, Path file, Path schemas, int batch, boolean untilEnd, boolean rewind) {
        static Options parse(String[] arguments) throws URISyntaxException {
            String brokers = System.getenv().getOrDefault("KAFKA_BROKERS", "127.0.0.1:9092");
            String prefix = "orderflow";
            String group = "totals-java";
            Path file = Path.of("totals.sqlite");
            Path schemas = repository().resolve("schemas/events");
            int batch = 500;
            boolean untilEnd = false;
            boolean rewind = false;
            var rest = List.of(arguments).iterator();
            while (rest.hasNext()) {
                String option = rest.next();
                switch (option) {
                    case "--brokers" -> brokers = rest.next();
                    case "--prefix" -> prefix = rest.next();
                    case "--group" -> group = rest.next();
                    case "--file" -> file = Path.of(rest.next());
                    case "--schemas" -> schemas = Path.of(rest.next());
                    case "--batch" -> batch = Integer.parseInt(rest.next());
                    case "--until-end" -> untilEnd = true;
                    case "--rewind" -> rewind = true;
                    default -> throw new IllegalArgumentException("there is no option " + option);
                }
            }
            return new Options(brokers, prefix, group, file, schemas, batch, untilEnd, rewind);
        }
    }
}
