import java.time.Duration;
import java.util.Arrays;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.AggregateFunction;
import org.apache.flink.api.common.serialization.AbstractDeserializationSchema;
import org.apache.flink.api.common.serialization.SimpleStringSchema;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.windowing.ProcessWindowFunction;
import org.apache.flink.streaming.api.windowing.assigners.TumblingEventTimeWindows;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;
import org.apache.flink.table.api.Schema;
import org.apache.flink.table.api.Table;
import org.apache.flink.table.api.bridge.java.StreamTableEnvironment;
import org.apache.flink.types.Row;
import org.apache.flink.util.Collector;

/**
 * Flink on a local cluster of two slots, checkpoints every 10 s. Its arguments: stream or sql; hashmap or rocksdb; and after how
 * many seconds a partition counts as idle, 0 for never.
 */
public final class FlinkJob {
  private FlinkJob() {}

  /** A decoded row. */
  public static class Hashed {
    public long id;
    public long ts;
    public int side;
    public byte[] sha;
  }

  /** What a window holds of a key. */
  public static class Both {
    public byte[] source;
    public byte[] target;
  }

  public static void main(String[] arguments) throws Exception {
    StreamExecutionEnvironment environment = StreamExecutionEnvironment.getExecutionEnvironment(settings(arguments[1]));
    environment.setParallelism(2);
    Duration idle = Duration.ofSeconds(Long.parseLong(arguments[2]));
    DataStream<Hashed> source = rows(environment, System.getenv("SOURCE"), 0, idle);
    DataStream<Hashed> target = rows(environment, System.getenv("TARGET"), 1, idle);
    DataStream<String> found = arguments[0].equals("sql") ? bySql(environment, source, target) : byStream(source, target);
    found.sinkTo(KafkaSink.<String>builder().setBootstrapServers(System.getenv("BOOTSTRAP"))
        .setRecordSerializer(KafkaRecordSerializationSchema.builder().setTopic(System.getenv("OUTPUT"))
            .setValueSerializationSchema(new SimpleStringSchema()).build())
        .setDeliveryGuarantee(DeliveryGuarantee.AT_LEAST_ONCE).build());
    environment.execute("peers");
  }

  private static Configuration settings(String backend) {
    Configuration settings = new Configuration();
    settings.setString("state.backend.type", backend);
    settings.setString("state.backend.incremental", "true");
    settings.setString("state.backend.rocksdb.localdir", System.getenv("STATE") + "/rocks");
    settings.setString("execution.checkpointing.dir", "file://" + System.getenv("STATE") + "/checkpoints");
    settings.setString("execution.checkpointing.interval", "10 s");
    settings.setString("taskmanager.numberOfTaskSlots", "2");
    settings.setString("taskmanager.memory.network.max", "128m");
    settings.setString("taskmanager.memory.managed.size", "256m");
    settings.setString("pipeline.object-reuse", "true");
    return settings;
  }

  private static DataStream<Hashed> rows(StreamExecutionEnvironment environment, String topic, int side, Duration idle) {
    KafkaSource<Hashed> rows = KafkaSource.<Hashed>builder().setBootstrapServers(System.getenv("BOOTSTRAP")).setTopics(topic)
        .setGroupId(System.getenv("RUN") + "-" + side).setStartingOffsets(OffsetsInitializer.earliest())
        .setValueOnlyDeserializer(new Decoding(side)).build();
    WatermarkStrategy<Hashed> watermarks = WatermarkStrategy.<Hashed>forBoundedOutOfOrderness(Duration.ofSeconds(5))
        .withTimestampAssigner((row, at) -> row.ts);
    return environment.fromSource(rows, idle.isZero() ? watermarks : watermarks.withIdleness(idle), topic);
  }

  private static DataStream<String> byStream(DataStream<Hashed> source, DataStream<Hashed> target) {
    return source.union(target).keyBy(row -> row.id).window(TumblingEventTimeWindows.of(Duration.ofSeconds(10)))
        .aggregate(new Latest(), new Compare());
  }

  private static DataStream<String> bySql(StreamExecutionEnvironment environment, DataStream<Hashed> source,
      DataStream<Hashed> target) {
    StreamTableEnvironment tables = StreamTableEnvironment.create(environment);
    Schema schema = Schema.newBuilder().column("id", "BIGINT").column("sha", "BYTES")
        .columnByMetadata("rowtime", "TIMESTAMP_LTZ(3)").watermark("rowtime", "SOURCE_WATERMARK()").build();
    tables.createTemporaryView("source", source, schema);
    tables.createTemporaryView("target", target, schema);
    String latest = "(SELECT id, window_start, window_end, LAST_VALUE(sha) AS sha FROM TABLE(TUMBLE(TABLE %s,"
        + " DESCRIPTOR(rowtime), INTERVAL '10' SECOND)) GROUP BY id, window_start, window_end)";
    Table found = tables.sqlQuery("SELECT UNIX_TIMESTAMP(CAST(COALESCE(s.window_start, t.window_start) AS STRING)) * 1000 AS w,"
        + " COALESCE(s.id, t.id) AS k FROM " + String.format(latest, "`source`") + " s FULL OUTER JOIN "
        + String.format(latest, "`target`") + " t ON s.id = t.id AND s.window_start = t.window_start"
        + " AND s.window_end = t.window_end WHERE s.sha IS DISTINCT FROM t.sha");
    return tables.toDataStream(found).map((Row row) -> verdict((Long) row.getField(0), (Long) row.getField(1)))
        .returns(Types.STRING);
  }

  private static String verdict(long window, long key) {
    return "{\"w\":" + window + ",\"k\":" + key + "}";
  }

  private static final class Decoding extends AbstractDeserializationSchema<Hashed> {
    private static final long serialVersionUID = 1;
    private final int side;
    private transient Envelope envelope;

    Decoding(int side) {
      super(Hashed.class);
      this.side = side;
    }

    @Override
    public Hashed deserialize(byte[] message) {
      if (envelope == null) {
        envelope = new Envelope();
      }
      envelope.read(message);
      Hashed row = new Hashed();
      row.id = envelope.id;
      row.ts = envelope.micros / 1000;
      row.side = side;
      row.sha = envelope.hash;
      return row;
    }
  }

  private static final class Latest implements AggregateFunction<Hashed, Both, Both> {
    private static final long serialVersionUID = 1;

    @Override
    public Both createAccumulator() {
      return new Both();
    }

    @Override
    public Both add(Hashed row, Both both) {
      if (row.side == 0) {
        both.source = row.sha;
      } else {
        both.target = row.sha;
      }
      return both;
    }

    @Override
    public Both getResult(Both both) {
      return both;
    }

    @Override
    public Both merge(Both one, Both other) {
      throw new UnsupportedOperationException("tumbling windows do not merge");
    }
  }

  private static final class Compare extends ProcessWindowFunction<Both, String, Long, TimeWindow> {
    private static final long serialVersionUID = 1;

    @Override
    public void process(Long id, Context context, Iterable<Both> of, Collector<String> found) {
      Both both = of.iterator().next();
      if (!Arrays.equals(both.source, both.target)) {
        found.collect(verdict(context.window().getStart(), id));
      }
    }
  }
}
