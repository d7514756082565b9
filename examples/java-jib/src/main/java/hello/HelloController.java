package hello;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;

@RestController
public class HelloController {
    @GetMapping("/")
    public String index() {
        return "Hello from skiff\n";
    }

    /** A resource: on the classpath. */
    @GetMapping("/greeting")
    public String greeting() throws IOException {
        try (InputStream greeting = getClass().getResourceAsStream("/greeting.txt")) {
            return new String(greeting.readAllBytes(), StandardCharsets.UTF_8);
        }
    }

    /** A file that the image holds beside the program: below src/main/jib stands the root of the image. */
    @GetMapping("/direct")
    public String direct() throws IOException {
        return Files.readString(Path.of("/direct-file"));
    }
}
