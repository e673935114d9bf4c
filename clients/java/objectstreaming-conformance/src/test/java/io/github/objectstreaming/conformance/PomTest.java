package io.github.objectstreaming.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.xpath.XPathFactory;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.w3c.dom.Document;

/** What Maven Central asks of a POM. */
class PomTest {
    private static String text(Path pom, String path) throws Exception {
        Document document =
                DocumentBuilderFactory.newInstance().newDocumentBuilder().parse(pom.toFile());
        return XPathFactory.newInstance().newXPath().evaluate(path, document).strip();
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "url",
                "licenses/license/name",
                "licenses/license/url",
                "developers/developer/name",
                "scm/connection",
                "scm/developerConnection",
                "scm/url",
                "issueManagement/url"
            })
    void theParentHas(String element) throws Exception {
        assertFalse(text(Path.of("../pom.xml"), "/project/" + element).isEmpty());
    }

    private static List<Path> modules() throws Exception {
        try (Stream<Path> folders = Files.list(Path.of(".."))) {
            return folders.map(folder -> folder.resolve("pom.xml"))
                    .filter(Files::exists)
                    .toList();
        }
    }

    @ParameterizedTest
    @MethodSource("modules")
    void everyModuleHasANameADescriptionAndTheVersionOfTheParent(Path pom) throws Exception {
        assertFalse(text(pom, "/project/name").isEmpty());
        assertTrue(text(pom, "/project/description").length() > 10);
        assertEquals(text(Path.of("../pom.xml"), "/project/version"), text(pom, "/project/parent/version"));
    }
}
