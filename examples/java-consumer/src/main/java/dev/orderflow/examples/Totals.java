package dev.orderflow.examples;

import dev.orderflow.examples.Contract.Event;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.stream.Stream;
import org.apache.kafka.common.TopicPartition;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/**
 * The running totals, in an SQLite file with the offsets that they were counted up to.
 *
 * <p>Both change in one transaction, so after a crash the file is as it was after some batch, and reading goes on behind it. Even
 * if records come again all the same (offsets set back, an event published twice), the version of every stream is kept, and an
 * event at or below it counts nothing.
 */
final class Totals implements AutoCloseable {
    private static final List<String> TABLES = List.of(
            "CREATE TABLE IF NOT EXISTS offsets (topic TEXT, partition INTEGER, next INTEGER NOT NULL,"
                    + " PRIMARY KEY (topic, partition))",
            // The last event of each stream.
            "CREATE TABLE IF NOT EXISTS streams (source TEXT, subject TEXT, version INTEGER NOT NULL, event_id TEXT NOT NULL,"
                    + " PRIMARY KEY (source, subject))",
            // What each order has added, until it is cancelled: then it is taken off.
            "CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, currency TEXT NOT NULL, units INTEGER NOT NULL,"
                    + " gross INTEGER NOT NULL)",
            "CREATE TABLE IF NOT EXISTS totals (name TEXT PRIMARY KEY, value INTEGER NOT NULL)",
            // What was reported and not counted. Delete the file to count it once it was repaired.
            "CREATE TABLE IF NOT EXISTS rejected (topic TEXT, partition INTEGER, offset INTEGER, cause TEXT NOT NULL,"
                    + " PRIMARY KEY (topic, partition, offset))");
    private static final List<String> NUMBERS =
            List.of("events", "users", "products", "confirmed", "orders", "cancelled", "units", "returned_units");

    private final JsonMapper json = JsonMapper.builder().build();
    private final Connection db;
    private final Map<String, PreparedStatement> statements = new HashMap<>();

    /** The event can't have happened to its stream as it is known: an earlier one was rejected, or two bear one version. */
    static final class DoesNotFit extends Exception {
        private static final long serialVersionUID = 1;

        DoesNotFit(String cause) {
            super(cause);
        }
    }

    private record Order(String id, String currency, long units, long gross) {}

    /** The file. One process at a time: see {@code group.instance.id} in Main. */
    Totals(Path file) throws SQLException {
        db = DriverManager.getConnection("jdbc:sqlite:" + file);
        try (Statement statement = db.createStatement()) {
            statement.execute("PRAGMA journal_mode = WAL");
            for (String table : TABLES) {
                statement.execute(table);
            }
        }
        // From here on everything is part of a transaction that `commit` ends.
        db.setAutoCommit(false);
    }

    /** Makes all that was done since the last time last; without it, it is as if nothing had been. */
    void commit() throws SQLException {
        db.commit();
    }

    /** Where reading goes on; none at the beginning. */
    OptionalLong nextOffset(TopicPartition partition) throws SQLException {
        String select = "SELECT next FROM offsets WHERE topic = ? AND partition = ?";
        try (ResultSet rows = prepare(select, partition.topic(), partition.partition()).executeQuery()) {
            return rows.next() ? OptionalLong.of(rows.getLong(1)) : OptionalLong.empty();
        }
    }

    /** Writes down that the record at {@code offset} was handled, whatever came of it. */
    void advance(String topic, int partition, long offset) throws SQLException {
        update("INSERT OR REPLACE INTO offsets VALUES (?, ?, ?)", topic, partition, offset + 1);
    }

    /** Forgets how far was read. What was counted stays counted. */
    void rewind() throws SQLException {
        update("DELETE FROM offsets");
        commit();
    }

    /** Writes down a record that is not counted. */
    void reject(String topic, int partition, long offset, String cause) throws SQLException {
        update("INSERT OR REPLACE INTO rejected VALUES (?, ?, ?, ?)", topic, partition, offset, cause);
    }

    /** Counts the event, unless it was counted before. */
    void count(Event event) throws SQLException, DoesNotFit {
        long version = 0;
        String lastId = null;
        String select = "SELECT version, event_id FROM streams WHERE source = ? AND subject = ?";
        try (ResultSet rows = prepare(select, event.source(), event.subject()).executeQuery()) {
            if (rows.next()) {
                version = rows.getLong(1);
                lastId = rows.getString(2);
            }
        }
        if (event.version() == version && !event.id().equals(lastId)) {
            throw new DoesNotFit("%s: two events with version %d of %s".formatted(event.type(), version, event.subject()));
        }
        if (event.version() <= version) {
            return;
        }
        if (event.version() > version + 1) {
            throw new DoesNotFit(
                    "%s: version %d of %s follows %d".formatted(event.type(), event.version(), event.subject(), version));
        }
        fold(event);
        add("events", 1);
        String insert = "INSERT OR REPLACE INTO streams VALUES (?, ?, ?, ?)";
        update(insert, event.source(), event.subject(), event.version(), event.id());
    }

    /**
     * What the event adds. The meaning is that of {@code GET /v1/stats}: a cancelled order counts as cancelled and as nothing else.
     *
     * <p>Whatever can refuse the event comes before the first statement that writes.
     */
    private void fold(Event event) throws SQLException, DoesNotFit {
        JsonNode data = event.data();
        switch (event.type()) {
            case "user.registered.v1" -> add("users", 1);
            case "product.created.v1" -> add("products", 1);
            case "order.placed.v1" -> {
                Order order = new Order(
                        event.subject(), data.get("currency").stringValue(), units(data), data.get("total").longValue());
                String insert = "INSERT OR IGNORE INTO orders VALUES (?, ?, ?, ?)";
                if (update(insert, order.id(), order.currency(), order.units(), order.gross()) == 0) {
                    throw new DoesNotFit("%s: %s was placed before".formatted(event.type(), event.subject()));
                }
                addOrder(order, 1);
            }
            case "order.confirmed.v1" -> add("confirmed", 1);
            case "order.cancelled.v1" -> {
                addOrder(order(event), -1);
                add("cancelled", 1);
                update("DELETE FROM orders WHERE id = ?", event.subject());
            }
            case "order.returned.v1" -> {
                add("refunds " + order(event).currency(), data.get("refund").longValue());
                add("returned_units", units(data));
            }
            default -> {
                // Other types, those of versions to come among them, mean nothing to these totals.
            }
        }
    }

    private static long units(JsonNode data) {
        long units = 0;
        for (JsonNode line : data.get("lines")) {
            units += line.get("quantity").longValue();
        }
        return units;
    }

    private Order order(Event event) throws SQLException, DoesNotFit {
        String select = "SELECT currency, units, gross FROM orders WHERE id = ?";
        try (ResultSet rows = prepare(select, event.subject()).executeQuery()) {
            if (!rows.next()) {
                throw new DoesNotFit("%s: %s is not placed".formatted(event.type(), event.subject()));
            }
            return new Order(event.subject(), rows.getString(1), rows.getLong(2), rows.getLong(3));
        }
    }

    private void addOrder(Order order, long sign) throws SQLException {
        add("orders", sign);
        add("units", sign * order.units());
        add("gross " + order.currency(), sign * order.gross());
    }

    private void add(String name, long value) throws SQLException {
        update("INSERT INTO totals VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value", name, value);
    }

    /** The totals as JSON; those that {@code GET /v1/stats} has are named as there. */
    String read() throws SQLException {
        Map<String, Long> total = new HashMap<>();
        try (ResultSet rows = prepare("SELECT name, value FROM totals").executeQuery()) {
            while (rows.next()) {
                total.put(rows.getString(1), rows.getLong(2));
            }
        }
        ObjectNode answer = json.createObjectNode();
        for (String name : NUMBERS) {
            answer.put(name, total.getOrDefault(name, 0L));
        }
        try (ResultSet rows = prepare("SELECT count(*) FROM rejected").executeQuery()) {
            rows.next();
            answer.put("rejected", rows.getLong(1));
        }
        ObjectNode revenue = answer.putObject("revenue");
        for (String currency : currencies(total)) {
            long gross = total.getOrDefault("gross " + currency, 0L);
            long refunds = total.getOrDefault("refunds " + currency, 0L);
            if (gross != 0 || refunds != 0) {
                revenue.putObject(currency).put("gross", gross).put("refunds", refunds).put("net", gross - refunds);
            }
        }
        // Reading began a transaction, too.
        commit();
        return answer.toString();
    }

    private static List<String> currencies(Map<String, Long> total) {
        Stream<String> amounts = total.keySet().stream().filter(name -> name.contains(" "));
        return amounts.map(name -> name.split(" ")[1]).distinct().sorted().toList();
    }

    private PreparedStatement prepare(String sql, Object... parameters) throws SQLException {
        PreparedStatement statement = statements.get(sql);
        if (statement == null) {
            statement = db.prepareStatement(sql);
            statements.put(sql, statement);
        }
        for (int index = 0; index < parameters.length; index++) {
            statement.setObject(index + 1, parameters[index]);
        }
        return statement;
    }

    /** How many rows changed. */
    private int update(String sql, Object... parameters) throws SQLException {
        return prepare(sql, parameters).executeUpdate();
    }

    @Override
    public void close() throws SQLException {
        db.close();
    }
}
