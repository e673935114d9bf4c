//! Where a stream can be picked up: a URI reference, resolved against the URL of the response (RFC 3986, section 5.2).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use http::Uri;

/// The URI that `reference` names in a response from `base`. `None` if that is none, or has another origin: our
/// credentials would go there.
pub(super) fn resolve(base: &Uri, reference: &str) -> Option<Uri> {
    let reference = reference.split('#').next().unwrap_or_default();
    let (scheme, rest) = match reference.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => (scheme, rest),
        _ => (base.scheme_str()?, reference),
    };
    let absolute = rest.len() < reference.len();
    let (authority, path) = match rest.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len())),
        None if absolute => return None, // such as mailto:
        None => (base.authority()?.as_str(), rest),
    };
    let (path, query) = match path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path, None),
    };
    let (path, query) = match path.chars().next() {
        Some('/') => (without_dots(path), query),
        None if absolute || rest.starts_with("//") => ("/".into(), query),
        None => (base.path().into(), query.or(base.query())),
        Some(_) => (without_dots(&format!("{}/{path}", base.path().rsplit_once('/')?.0)), query),
    };
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    let found: Uri = format!("{scheme}://{authority}{path}{query}").parse().ok()?;
    same_origin(base, &found).then_some(found)
}

pub(super) fn same_origin(one: &Uri, other: &Uri) -> bool {
    origin(one) == origin(other)
}

fn origin(uri: &Uri) -> (String, String, Option<u16>) {
    let scheme = uri.scheme_str().unwrap_or_default().to_ascii_lowercase();
    let usual = match scheme.as_str() {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    };
    (scheme, uri.host().unwrap_or_default().to_ascii_lowercase(), uri.port_u16().or(usual))
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|char| char.is_ascii_alphanumeric() || matches!(char, '+' | '-' | '.'))
}

/// The path without its segments `.` and `..`.
fn without_dots(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    if path.ends_with("/.") || path.ends_with("/..") {
        segments.push("");
    }
    format!("/{}", segments.join("/"))
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn a_reference_is_resolved_as_rfc_3986_does() {
        let base = "http://a/b/c/d;p?q".parse().unwrap();
        let examples = [
            ("http://a/x", "http://a/x"),
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//a", "http://a/"),
            ("//a?y", "http://a/?y"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("g?y/./x", "http://a/b/c/g?y/./x"),
            ("#s", "http://a/b/c/d;p?q"),
            ("g#s", "http://a/b/c/g"),
            (";x", "http://a/b/c/;x"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../..", "http://a/"),
            ("../../../g", "http://a/g"),
            ("/../g", "http://a/g"),
            ("g/../h", "http://a/b/c/h"),
            ("HTTP://A:80/g", "HTTP://A:80/g"),
        ];
        for (reference, expected) in examples {
            let found = resolve(&base, reference).map(|uri| uri.to_string());
            assert_eq!(found.unwrap().to_ascii_lowercase(), expected.to_ascii_lowercase(), "{reference}");
        }
    }

    #[test]
    fn another_origin_is_none() {
        let base = "http://a:8000/b".parse().unwrap();
        for reference in [
            "http://a/b",
            "https://a:8000/b",
            "//b:8000/",
            "http://user@b:8000/",
            "mailto:a",
            "http:g",
            "http://a:8000@b/",
            "//[",
            "/a b",
            "http://",
            "//",
            "///a",
        ] {
            assert_eq!(resolve(&base, reference), None, "{reference}");
        }
    }
}
