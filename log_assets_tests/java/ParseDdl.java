import java.nio.charset.StandardCharsets;
import org.apache.hadoop.hive.ql.parse.ASTNode;
import org.apache.hadoop.hive.ql.parse.ParseDriver;
import org.apache.hadoop.hive.ql.parse.ParseException;

/** Reads a statement from standard input and prints the tree that Hive's own parser makes of it. */
class ParseDdl {
    public static void main(String[] arguments) throws Exception {
        String sql = new String(System.in.readAllBytes(), StandardCharsets.UTF_8);
        try {
            ASTNode tree = new ParseDriver().parse(sql);
            System.out.println(tree.toStringTree());
        } catch (ParseException refused) {
            System.err.println(refused.getMessage());
            System.exit(3);
        }
    }
}
