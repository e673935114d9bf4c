package io.github.objectstreaming.http;

import java.util.HashMap;
import java.util.Locale;
import java.util.Map;

/** A content type and its parameters, with names in lower case (RFC 9110, section 8.3.1). */
record MediaType(String name, Map<String, String> parameters) {
    static MediaType parse(String field) {
        int at = field.indexOf(';');
        String name = (at < 0 ? field : field.substring(0, at)).strip().toLowerCase(Locale.ROOT);
        Map<String, String> parameters = new HashMap<>();
        while (at >= 0) {
            int equals = field.indexOf('=', at);
            if (equals < 0) {
                break;
            }
            String parameter = field.substring(at + 1, equals).strip().toLowerCase(Locale.ROOT);
            StringBuilder value = new StringBuilder();
            boolean quoted = false;
            for (at = equals + 1; at < field.length(); at++) {
                char c = field.charAt(at);
                if (c == '"') {
                    quoted = !quoted;
                } else if (quoted && c == '\\' && at + 1 < field.length()) {
                    value.append(field.charAt(++at));
                } else if (!quoted && c == ';') {
                    break;
                } else {
                    value.append(c);
                }
            }
            parameters.putIfAbsent(parameter, value.toString().strip());
            at = at < field.length() ? at : -1;
        }
        return new MediaType(name, parameters);
    }
}
