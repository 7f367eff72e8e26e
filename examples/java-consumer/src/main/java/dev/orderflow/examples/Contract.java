package dev.orderflow.examples;

import com.networknt.schema.Error;
import com.networknt.schema.Schema;
import com.networknt.schema.SchemaRegistry;
import com.networknt.schema.SpecificationVersion;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.header.Header;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/** From a record of a topic to an event that keeps the contract, or to the reason why it is none. */
final class Contract {
    private final JsonMapper json = JsonMapper.builder().build();
    private final SchemaRegistry registry = SchemaRegistry.withDefaultDialect(SpecificationVersion.DRAFT_2020_12);
    private final Schema headers;
    private final Map<String, Schema> events = new HashMap<>();

    /**
     * An event. {@code (source, subject)} names its stream, and {@code version} its place in it, gapless from 1.
     *
     * <p>One of a type that there is no schema for has no data (null): types are added without asking consumers, who pass over
     * what they do not know, and follow its stream all the same.
     */
    record Event(String id, String type, String source, String subject, long version, JsonNode data) {}

    /** The record is no event as published. It will not become one by being read again. */
    static final class Broken extends Exception {
        private static final long serialVersionUID = 1;

        Broken(String cause) {
            super(cause);
        }
    }

    /**
     * The schemas: one for the headers of all records (CloudEvents, binary mode), and in a folder one for the value of each
     * event type.
     */
    Contract(Path headers, Path events) throws IOException {
        this.headers = read(headers);
        try (var files = Files.newDirectoryStream(events, "*.json")) {
            for (Path file : files) {
                this.events.put(file.getFileName().toString().replaceFirst("\\.json$", ""), read(file));
            }
        }
        if (this.events.isEmpty()) {
            throw new FileNotFoundException("there are no schemas in " + events);
        }
    }

    /** The event in a record. */
    Event read(ConsumerRecord<byte[], byte[]> message) throws Broken {
        ObjectNode found = json.createObjectNode();
        for (Header header : message.headers()) {
            if (header.value() != null) {
                found.put(header.key(), new String(header.value(), StandardCharsets.UTF_8));
            }
        }
        check(headers, found, "headers");
        String subject = found.get("ce_subject").stringValue();
        if (!Arrays.equals(message.key(), subject.getBytes(StandardCharsets.UTF_8))) {
            throw new Broken("the key is not ce_subject");
        }
        String type = found.get("ce_type").stringValue();
        Schema schema = events.get(type);
        JsonNode data = schema == null ? null : parse(message.value(), type);
        if (schema != null) {
            check(schema, data, type);
        }
        return new Event(
                found.get("ce_id").stringValue(),
                type,
                found.get("ce_source").stringValue(),
                subject,
                Long.parseLong(found.get("ce_version").stringValue()),
                data);
    }

    private Schema read(Path file) throws IOException {
        // Compiled once: to find and read a schema for each record would be most of the work.
        return registry.getSchema(json.readTree(Files.readAllBytes(file)));
    }

    private JsonNode parse(byte[] value, String type) throws Broken {
        if (value == null || value.length == 0) {
            throw new Broken(type + ": empty");
        }
        try {
            return json.readTree(value);
        } catch (JacksonException error) {
            throw new Broken(type + ": not JSON");
        }
    }

    private static void check(Schema schema, JsonNode instance, String what) throws Broken {
        List<Error> errors =
                schema.validate(instance, context -> context.executionConfig(config -> config.formatAssertionsEnabled(true)));
        if (!errors.isEmpty()) {
            // Where and which rule, without the value: it may be personal.
            Error error = errors.get(0);
            throw new Broken("%s: %s breaks `%s`".formatted(what, error.getInstanceLocation(), error.getKeyword()));
        }
    }
}
