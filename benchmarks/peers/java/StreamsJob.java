import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Arrays;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Aggregator;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KGroupedStream;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.Suppressed;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.state.WindowStore;

/**
 * Kafka Streams: both topics co-grouped into windows in RocksDB, which are suppressed until they close. Its argument is the
 * processing guarantee.
 *
 * <p>A row, decoded once, is its side (1 octet), its time in ms (8) and its hash (32). What a window holds of a key is which sides
 * were seen (1) and the hash of either (32 each).
 */
public final class StreamsJob {
  private static final int SHA = 32;
  private static final int HASH_OF_ROW = 9;
  private static final int SOURCE = 1;
  private static final int TARGET = SOURCE + SHA;
  private static final int END = TARGET + SHA;

  private StreamsJob() {}

  public static void main(String[] arguments) {
    Properties settings = new Properties();
    settings.put("application.id", System.getenv("RUN"));
    settings.put("bootstrap.servers", System.getenv("BOOTSTRAP"));
    settings.put("state.dir", System.getenv("STATE"));
    settings.put("processing.guarantee", arguments[0]);
    settings.put("commit.interval.ms", "1000"); // by default 30 s at least once, in which outputs wait, and 100 ms exactly once
    settings.put("num.stream.threads", "2");
    settings.put("auto.offset.reset", "earliest");
    settings.put("windowstore.changelog.additional.retention.ms", Duration.ofDays(3650).toMillis()); // event time is long ago

    StreamsBuilder builder = new StreamsBuilder();
    Aggregator<Bytes, byte[], byte[]> put = (key, row, both) -> put(row, both);
    grouped(builder, "SOURCE", (byte) 0).cogroup(put).cogroup(grouped(builder, "TARGET", (byte) 1), put)
        .windowedBy(TimeWindows.ofSizeAndGrace(Duration.ofSeconds(10), Duration.ofSeconds(5)))
        .aggregate(() -> new byte[END], Materialized.<Bytes, byte[], WindowStore<Bytes, byte[]>>as("hashes")
            .withKeySerde(Serdes.Bytes()).withValueSerde(Serdes.ByteArray()))
        .suppress(Suppressed.untilWindowCloses(Suppressed.BufferConfig.unbounded()))
        .toStream()
        .filter((key, both) -> both[0] != 3 || !Arrays.equals(both, SOURCE, TARGET, both, TARGET, END))
        .map((key, both) -> KeyValue.pair(key.key(),
            "{\"w\":" + key.window().start() + ",\"k\":" + Envelope.key(key.key().get()) + "}"))
        .to(System.getenv("OUTPUT"), Produced.with(Serdes.Bytes(), Serdes.String()));

    KafkaStreams streams = new KafkaStreams(builder.build(), settings);
    streams.setUncaughtExceptionHandler(error -> {
      error.printStackTrace();
      Runtime.getRuntime().halt(1); // an engine that ended is an error of the benchmark, one that stands still is none
      return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
    });
    Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(3))));
    streams.start();
  }

  private static KGroupedStream<Bytes, byte[]> grouped(StreamsBuilder builder, String topic, byte side) {
    return builder.stream(System.getenv(topic), Consumed.with(Serdes.Bytes(), rows(side))
            .withTimestampExtractor((record, latest) -> ByteBuffer.wrap((byte[]) record.value()).getLong(1)))
        .groupByKey(Grouped.with(Serdes.Bytes(), Serdes.ByteArray()));
  }

  private static Serde<byte[]> rows(byte side) {
    ThreadLocal<Envelope> envelopes = ThreadLocal.withInitial(Envelope::new); // one serde serves both threads
    return Serdes.serdeFrom((topic, row) -> row, (topic, message) -> {
      Envelope envelope = envelopes.get();
      envelope.read(message);
      return ByteBuffer.allocate(HASH_OF_ROW + SHA).put(side).putLong(envelope.micros / 1000).put(envelope.hash).array();
    });
  }

  private static byte[] put(byte[] row, byte[] both) {
    byte[] changed = both.clone();
    changed[0] |= 1 << row[0];
    System.arraycopy(row, HASH_OF_ROW, changed, row[0] == 0 ? SOURCE : TARGET, SHA);
    return changed;
  }
}
