import java.io.IOException;
import java.io.UncheckedIOException;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.DecoderFactory;

/** Debezium's Avro behind Confluent's five octets, read into the same object again and again: id, event time, SHA-256 of the row. */
final class Envelope {
  private static final int HEADER = 5;
  private static final Schema SCHEMA = schema();

  private final GenericDatumReader<GenericRecord> reader = new GenericDatumReader<>(SCHEMA);
  private final MessageDigest sha;
  private BinaryDecoder decoder;
  private GenericRecord envelope;

  long id;
  long micros;
  byte[] hash;

  Envelope() {
    try {
      sha = MessageDigest.getInstance("SHA-256");
    } catch (GeneralSecurityException e) {
      throw new IllegalStateException(e);
    }
  }

  void read(byte[] message) {
    decoder = DecoderFactory.get().binaryDecoder(message, HEADER, message.length - HEADER, decoder);
    try {
      envelope = reader.read(envelope, decoder);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    GenericRecord row = (GenericRecord) envelope.get("after");
    id = (Long) row.get("id");
    micros = (Long) ((GenericRecord) envelope.get("source")).get("ts_us");
    ByteBuffer amount = ((ByteBuffer) row.get("amount")).duplicate();
    byte[] unscaled = new byte[amount.remaining()];
    amount.get(unscaled);
    Object note = row.get("note");
    String text = id + "\u001f" + row.get("customer_id") + "\u001f" + new BigInteger(unscaled) + "\u001f" + row.get("status")
        + "\u001f" + (note == null ? "\0" : note) + "\u001f" + row.get("updated_at");
    hash = sha.digest(text.getBytes(StandardCharsets.UTF_8));
  }

  /** The id in a message's key. */
  static long key(byte[] message) {
    try {
      return DecoderFactory.get().binaryDecoder(message, HEADER, message.length - HEADER, null).readLong();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static Schema schema() {
    try {
      return new Schema.Parser().parse(Path.of(System.getenv("SCHEMA")).toFile());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
