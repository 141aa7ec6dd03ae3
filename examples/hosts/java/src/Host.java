// A packed model in Java, with Chicory: java Host MODULE.wasm INPUT OUTPUT
import com.dylibso.chicory.runtime.Instance;
import com.dylibso.chicory.wasm.Parser;
import java.nio.file.Files;
import java.nio.file.Path;

public class Host {
    static Instance model;

    static int call(String name, long... args) {
        return (int) model.export(name).apply(args)[0];
    }

    public static void main(String[] args) throws Exception {
        model = Instance.builder(Parser.parse(Path.of(args[0]).toFile())).build();
        byte[] input = Files.readAllBytes(Path.of(args[1]));
        if (input.length != call("thimble_input_bytes", 0)) {
            throw new IllegalArgumentException("the input has another size than the model's");
        }
        double best = Double.POSITIVE_INFINITY;
        for (int i = 0; i < 2; i++) {
            // Inputs share memory with what comes after them: written before every run.
            model.memory().write(call("thimble_input_ptr", 0), input);
            long start = System.nanoTime();
            int status = call("thimble_invoke");
            best = Math.min(best, (System.nanoTime() - start) / 1e6);
            if (status != 0) throw new IllegalStateException("thimble_invoke returned " + status);
        }
        byte[] output = model.memory().readBytes(call("thimble_output_ptr", 0), call("thimble_output_bytes", 0));
        Files.write(Path.of(args[2]), output);
        System.out.printf("%.2f ms, %d bytes%n", best, model.memory().pages() * 65536L);
    }
}
