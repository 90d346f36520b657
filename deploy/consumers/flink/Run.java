import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.flink.table.api.TableResult;

/** Runs the statements of a file in this process: java -cp 'libs/*' Run.java unique.sql. On a cluster: sql-client.sh -f. */
public class Run {
    public static void main(String[] args) throws Exception {
        var tables = TableEnvironment.create(EnvironmentSettings.inStreamingMode());
        TableResult last = null;
        for (var statement : Files.readString(Path.of(args[0])).replaceAll("(?m)^--.*$", "").split(";\\s*\n")) {
            var words = statement.strip();
            if (words.startsWith("SET ")) {
                var quoted = words.split("'");
                tables.getConfig().set(quoted[1], quoted[3]);
            } else if (!words.isEmpty()) {
                last = tables.executeSql(words);
            }
        }
        last.await();
    }
}
