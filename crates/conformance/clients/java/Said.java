import java.io.IOException;
import java.io.InputStream;
import java.time.Duration;
import java.util.Properties;
import java.util.concurrent.ExecutionException;

/** The lines that the runner reads: `PASS feature`, `FAIL feature reason`, `SKIP feature reason`, `VERSION name version`. */
final class Said {
    interface Feature {
        void run() throws Exception;
    }

    interface Condition {
        boolean holds() throws Exception;
    }

    static final Duration PATIENCE = Duration.ofSeconds(60);

    private Said() {}

    static void feature(String name, Feature feature) {
        try {
            feature.run();
            line("PASS " + name);
        } catch (ExecutionException failed) {
            line("FAIL " + name + " " + failed.getCause());
        } catch (Exception | AssertionError failed) {
            line("FAIL " + name + " " + failed);
        }
    }

    static void versionOfKafkaClients() throws IOException {
        Properties properties = new Properties();
        try (InputStream file = Said.class.getResourceAsStream("/kafka/kafka-version.properties")) {
            properties.load(file);
        }
        line("VERSION kafka-clients " + properties.getProperty("version"));
    }

    static void same(Object expected, Object found, String what) {
        check(expected.equals(found), what + ": expected " + expected + ", found " + found);
    }

    static void check(boolean holds, String otherwise) {
        if (!holds) {
            throw new AssertionError(otherwise);
        }
    }

    static void until(String what, Condition condition) throws Exception {
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (!condition.holds()) {
            check(System.nanoTime() < deadline, "not within " + PATIENCE.toSeconds() + " s: " + what);
        }
    }

    private static void line(String line) {
        System.out.println(line.replaceAll("\\s+", " "));
        System.out.flush();
    }
}
