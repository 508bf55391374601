//! The server as a client sees it: mostly without a network, and with one where that is what counts.

use super::*;
use crate::config::serve::ServeConfig;
use crate::testing::Brightness;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Instant;
use tempfile::TempDir;
use tower::ServiceExt;

const TOKEN: &str = "0123456789abcdef";

/// A host with one stream, `north`, that tells dark from bright.
struct Stage {
    folder: TempDir,
    host: Arc<Host>,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Brightness::default().write(folder.path());
        let text = "[model]\nfile = 'brightness.onnx'\n[execution]\nprovider = 'cpu'\nmax_streams = 3\n\
                    [[stream]]\nname = 'north'\nsource.input = 'test:ball?width=160&height=120&rate=20'\n\
                    record = [{ folder = 'recordings' }]\n\
                    zone = [{ name = 'all', polygon = [[0, 0], [1, 0], [1, 1]] }]\n";
        let file = folder.path().join("live.toml");
        std::fs::write(&file, text).unwrap();
        let host = Host::start(ServeConfig::load(&file).unwrap()).unwrap();
        Self { folder, host }
    }

    fn router(&self, token: Option<&str>) -> Router {
        let token = token.map(Secret::new);
        routes::router(App {
            host: self.host.clone(),
            auth: Auth::new(token.as_ref(), 8080, false),
            guard: Guard::new(IpAddr::V4(Ipv4Addr::LOCALHOST), &[]),
            previews: Previews::default(),
            epoch: 7,
            document: routes::document(),
        })
    }

    fn wait_until_live(&self) {
        let begin = Instant::now();
        while let Err(why) = self.host.is_ready() {
            assert!(begin.elapsed() < Duration::from_secs(60), "{why}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.host.end();
    }
}

struct Told {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Told {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The one line of an error.
    fn error(&self) -> String {
        let line = self.json()["error"].as_str().unwrap().to_owned();
        assert!(!line.contains('\n') && !line.is_empty());
        line
    }
}

fn request(method: &str, path: &str) -> axum::http::request::Builder {
    Request::builder().method(method).uri(path).header("host", "127.0.0.1:8080")
}

async fn send(router: &Router, request: Request<Body>) -> Told {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = tokio::time::timeout(Duration::from_secs(20), to_bytes(body, 1 << 24))
        .await
        .unwrap()
        .unwrap();
    Told {
        status: parts.status,
        headers: parts.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    }
}

async fn get(router: &Router, path: &str) -> Told {
    send(router, request("GET", path).body(Body::empty()).unwrap()).await
}

async fn tell(router: &Router, method: &str, path: &str, body: Value) -> Told {
    let request = request(method, path).header("content-type", "application/json");
    send(router, request.body(Body::from(body.to_string())).unwrap()).await
}

/// Fails the test unless an answer is what the document says of it.
fn check_answer(document: &Value, method: &str, path: &str, told: &Told) {
    let status = told.status.as_u16().to_string();
    let response = &document["paths"][path][method]["responses"][&status];
    assert!(
        response.is_object(),
        "{method} {path} answers {status}, which the document does not know: {}",
        told.body
    );
    let kind = told
        .headers
        .get("content-type")
        .map_or("", |kind| kind.to_str().unwrap())
        .split(';')
        .next()
        .unwrap();
    let Some(content) = response["content"].as_object() else {
        assert_eq!(told.body, "", "{method} {path} has a body that the document does not know");
        return;
    };
    let described = content
        .get(kind)
        .unwrap_or_else(|| panic!("{method} {path} is {kind:?}, the document says {content:?}"));
    if kind == "application/json" {
        let mut schema = described["schema"].clone();
        schema["components"] = document["components"].clone();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let problems: Vec<_> = validator
            .iter_errors(&told.json())
            .map(|e| format!("{e} at {}", e.instance_path()))
            .collect();
        assert!(problems.is_empty(), "{method} {path}: {problems:?} in {}", told.body);
    }
}

#[tokio::test]
async fn every_answer_is_what_the_document_says() {
    let stage = Stage::new();
    stage.wait_until_live();
    let router = stage.router(None);
    let document = get(&router, "/api/v1/openapi.json").await.json();
    assert_eq!(document["info"]["title"], "maskline");
    let mut left: Vec<_> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().keys();
            methods.map(|method| (method.clone(), path.clone())).collect::<Vec<_>>()
        })
        .collect();
    let south = json!({"name": "south gate", "source": {"input": "test:smpte?width=160&height=120"}});
    let bad = json!({"name": "x", "source": {"input": "test:"}, "overlay": {"alpha": 7}});
    for (method, path, place, body, status) in [
        ("get", "/api/v1/streams", "", None, 200),
        ("post", "/api/v1/streams", "", Some(south.clone()), 201),
        ("post", "/api/v1/streams", "", Some(south), 409),
        ("post", "/api/v1/streams", "", Some(bad), 422),
        ("get", "/api/v1/streams/{name}", "/api/v1/streams/north", None, 200),
        ("get", "/api/v1/streams/{name}", "/api/v1/streams/south%20gate", None, 200),
        ("get", "/api/v1/streams/{name}", "/api/v1/streams/nobody", None, 404),
        (
            "patch",
            "/api/v1/streams/{name}",
            "/api/v1/streams/north",
            Some(json!({"overlay": {"alpha": 0.25, "only": ["bright"]}})),
            200,
        ),
        (
            "patch",
            "/api/v1/streams/{name}",
            "/api/v1/streams/north",
            Some(json!({"overlay": {"only": ["whale"]}})),
            422,
        ),
        ("patch", "/api/v1/streams/{name}", "/api/v1/streams/nobody", Some(json!({})), 404),
        ("delete", "/api/v1/streams/{name}", "/api/v1/streams/south%20gate", None, 204),
        ("delete", "/api/v1/streams/{name}", "/api/v1/streams/south%20gate", None, 404),
        (
            "get",
            "/api/v1/streams/{name}/snapshot.jpg",
            "/api/v1/streams/north/snapshot.jpg",
            None,
            200,
        ),
        ("get", "/api/v1/streams/{name}/live", "/api/v1/streams/north/live", None, 426),
        (
            "delete",
            "/api/v1/streams/{name}/whep/{session}",
            "/api/v1/streams/north/whep/none",
            None,
            404,
        ),
        (
            "get",
            "/api/v1/streams/{name}/recordings",
            "/api/v1/streams/north/recordings",
            None,
            200,
        ),
        (
            "get",
            "/api/v1/streams/{name}/recordings/{file}",
            "/api/v1/streams/north/recordings/..%2Flive.toml",
            None,
            404,
        ),
        ("post", "/api/v1/reload", "", None, 200),
        ("get", "/api/v1/models", "", None, 200),
        ("get", "/api/v1/brokers", "", None, 200),
        ("get", "/api/v1/about", "", None, 200),
        ("get", "/api/v1/openapi.json", "", None, 200),
        ("get", "/metrics", "", None, 200),
        ("get", "/healthz", "", None, 200),
        ("get", "/readyz", "", None, 200),
        ("post", "/login", "", Some(json!({"token": "x"})), 204),
        ("post", "/logout", "", None, 204),
    ] {
        let place = if place.is_empty() { path } else { place };
        let told = match body {
            Some(body) => tell(&router, &method.to_uppercase(), place, body).await,
            None => send(&router, request(&method.to_uppercase(), place).body(Body::empty()).unwrap()).await,
        };
        assert_eq!(told.status.as_u16(), status, "{method} {place}: {}", told.body);
        check_answer(&document, method, path, &told);
        left.retain(|(m, p)| (m.as_str(), p.as_str()) != (method, path));
    }
    let offer = request("POST", "/api/v1/streams/north/whep").header("content-type", "application/sdp");
    let told = send(&router, offer.body(Body::from("hello")).unwrap()).await;
    assert_eq!(told.status.as_u16(), 422, "{}", told.body);
    check_answer(&document, "post", "/api/v1/streams/{name}/whep", &told);
    left.retain(|(_, path)| path != "/api/v1/streams/{name}/whep");
    left.sort();
    let endless = [("get", "/api/v1/events"), ("get", "/api/v1/streams/{name}/mjpeg")];
    let endless: Vec<_> = endless.iter().map(|(m, p)| (m.to_string(), p.to_string())).collect();
    assert_eq!(left, endless, "not asked for in this test");
}

#[tokio::test]
async fn what_is_patched_is_what_is_told_and_nothing_else_changes() {
    let stage = Stage::new();
    let router = stage.router(None);
    let before = get(&router, "/api/v1/streams/north").await.json()["settings"].clone();
    let told = tell(&router, "PATCH", "/api/v1/streams/north", json!({"overlay": {"alpha": 0.25}})).await;
    let mut wanted = before.clone();
    wanted["overlay"] = json!({"alpha": 0.25});
    assert_eq!(told.json()["settings"], wanted);
    tell(&router, "PATCH", "/api/v1/streams/north", json!({"overlay": null})).await;
    assert_eq!(get(&router, "/api/v1/streams/north").await.json()["settings"], before);
}

#[tokio::test]
async fn an_address_is_told_without_what_logs_in() {
    let stage = Stage::new();
    let router = stage.router(None);
    let camera = json!({"name": "cam", "source": {"input": "rtsp://me:hunter2@127.0.0.1:9/1", "password": "hunter22"}});
    let added = tell(&router, "POST", "/api/v1/streams", camera).await;
    assert_eq!(added.status, 201, "{}", added.body);
    assert_eq!(added.headers["location"], "/api/v1/streams/cam");
    for told in [
        added,
        get(&router, "/api/v1/streams").await,
        get(&router, "/metrics").await,
        get(&router, "/readyz").await,
    ] {
        assert!(!told.body.contains("hunter2"), "{}", told.body);
    }
}

#[tokio::test]
async fn bodies_that_cannot_be_are_refused_in_one_line() {
    let stage = Stage::new();
    let router = stage.router(None);
    let post = async |kind: &str, body: Vec<u8>| {
        send(
            &router,
            request("POST", "/api/v1/streams")
                .header("content-type", kind)
                .body(Body::from(body))
                .unwrap(),
        )
        .await
    };
    for (kind, body, status, part) in [
        ("application/json", b"{".to_vec(), 400, "no JSON"),
        ("application/json", b"[1]".to_vec(), 422, "wanted one with the keys"),
        ("application/json", vec![b'['; 200_000], 400, "no JSON"),
        ("application/json", vec![b' '; 300_000], 413, "too large"),
        ("application/json", b"\xff\xfe".to_vec(), 400, "no JSON"),
        ("text/plain", b"{}".to_vec(), 415, "wanted application/json"),
        (
            "application/x-www-form-urlencoded",
            b"name=a".to_vec(),
            415,
            "wanted application/json",
        ),
        (
            "application/json",
            br#"{"name": "a/../b", "source": {"input": "test:"}}"#.to_vec(),
            422,
            "letters, digits",
        ),
        (
            "application/json",
            br#"{"name": "a", "source": {"input": "/etc/passwd"}}"#.to_vec(),
            422,
            "is a file",
        ),
    ] {
        let told = post(kind, body).await;
        assert_eq!(told.status.as_u16(), status, "{}", told.body);
        assert!(told.error().contains(part), "{}", told.body);
    }
    for (method, path, status) in [
        ("GET", "/api/v1/streams/a%2Fb", 404),
        ("GET", "/api/v1/streams/..%2F..%2Fetc%2Fpasswd", 404),
        ("GET", "/api/v1/streams/%0Aa%22", 404),
        ("GET", "/api/v1/streams/%ff", 400),
        ("GET", "/api/v1/nothing", 404),
        ("GET", "/page/../../Cargo.toml", 404),
        ("PUT", "/api/v1/streams", 405),
        ("POST", "/healthz", 405),
    ] {
        let told = send(&router, request(method, path).body(Body::empty()).unwrap()).await;
        assert_eq!(told.status.as_u16(), status, "{path}: {}", told.body);
        told.error();
    }
}

#[tokio::test]
async fn with_a_token_only_health_and_the_page_are_open() {
    let stage = Stage::new();
    let router = stage.router(Some(TOKEN));
    for path in ["/", "/page/main.js", "/page/style.css", "/healthz"] {
        assert_eq!(get(&router, path).await.status, 200, "{path}");
    }
    let document = get(&stage.router(None), "/api/v1/openapi.json").await.json();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let path = path.replace("{name}", "north").replace("{file}", "x");
            if ["/healthz", "/readyz", "/login"].contains(&path.as_str()) {
                continue;
            }
            let told = send(&router, request(&method.to_uppercase(), &path).body(Body::empty()).unwrap()).await;
            assert_eq!(told.status, 401, "{method} {path}");
            assert_eq!(told.headers["www-authenticate"], "Bearer");
        }
    }
    let with = async |name: &'static str, value: &str, path: &str| {
        send(&router, request("GET", path).header(name, value).body(Body::empty()).unwrap())
            .await
            .status
    };
    assert_eq!(with("authorization", &format!("Bearer {TOKEN}"), "/metrics").await, 200);
    assert_eq!(with("authorization", "Bearer wrong", "/metrics").await, 401);
    assert_eq!(with("x", "y", &format!("/metrics?token={TOKEN}&access_token={TOKEN}")).await, 401);
    assert_eq!(tell(&router, "POST", "/login", json!({"token": "wrong"})).await.status, 401);
    let login = tell(&router, "POST", "/login", json!({ "token": TOKEN })).await;
    assert_eq!(login.status, 204);
    let cookie = login.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    assert_eq!(with("cookie", &cookie, "/api/v1/streams").await, 200);
    // Whoever has no token is not told the names of the streams.
    let ready = get(&router, "/readyz").await;
    assert!(!ready.body.contains("north"), "{}", ready.body);
}

#[tokio::test]
async fn foreign_pages_and_foreign_names_are_refused() {
    let stage = Stage::new();
    let router = stage.router(None);
    let ask = async |host: &str, origin: Option<&str>, method: &str, path: &str| {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", host)
            .header("content-type", "application/json");
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        send(&router, request.body(Body::from("{}")).unwrap()).await.status.as_u16()
    };
    assert_eq!(ask("evil.example", None, "GET", "/api/v1/streams").await, 403);
    assert_eq!(ask("evil.example:8080", None, "GET", "/").await, 403);
    assert_eq!(
        ask("127.0.0.1:8080", Some("http://evil.example"), "DELETE", "/api/v1/streams/north").await,
        403
    );
    assert_eq!(ask("127.0.0.1:8080", Some("null"), "POST", "/login").await, 403);
    assert_eq!(
        ask("127.0.0.1:8080", Some("http://127.0.0.1:8080"), "PATCH", "/api/v1/streams/north").await,
        200
    );
    assert_eq!(ask("monitor.example", None, "GET", "/healthz").await, 200);
    let headers = get(&router, "/api/v1/streams").await.headers;
    assert_eq!(headers["cache-control"], "no-store");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert!(
        headers["content-security-policy"]
            .to_str()
            .unwrap()
            .starts_with("default-src 'self';")
    );
    assert!(!headers.contains_key("access-control-allow-origin"));
    assert_eq!(get(&router, "/").await.headers["cache-control"], "no-cache");
}

#[tokio::test]
async fn events_go_on_where_the_listener_left_off() {
    let stage = Stage::new();
    stage.wait_until_live();
    let router = stage.router(None);
    let listen = async |last: Option<&str>, path: &str| {
        let mut request = request("GET", path);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        response.into_body().into_data_stream()
    };
    let next = async |stream: &mut axum::body::BodyDataStream| {
        use tokio_stream::StreamExt;
        let bytes = tokio::time::timeout(Duration::from_secs(20), stream.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let line = |key: &str| text.lines().find_map(|l| l.strip_prefix(key)).unwrap().trim().to_owned();
        (line("id:"), serde_json::from_str::<Value>(&line("data:")).unwrap())
    };
    let mut all = listen(None, "/api/v1/events?past=all").await;
    let (id, first) = next(&mut all).await;
    assert_eq!((id.as_str(), &first["id"]), ("7-0", &json!(0)));
    let (second, _) = next(&mut all).await;
    assert_eq!(next(&mut listen(Some("7-0"), "/api/v1/events").await).await.0, second);
    assert_eq!(
        next(&mut listen(Some("6-900"), "/api/v1/events").await).await.0,
        "7-0",
        "of another process"
    );
    let mut new = listen(None, "/api/v1/events").await;
    tell(&router, "PATCH", "/api/v1/streams/north", json!({"overlay": {"alpha": 0.3}})).await;
    let (_, event) = next(&mut new).await;
    assert_eq!((&event["kind"], &event["stream"]), (&json!("config"), &json!("north")));
}

#[tokio::test]
async fn recordings_are_listed_and_given_in_parts_and_nothing_beside_them_is() {
    let stage = Stage::new();
    let folder = stage.folder.path().join("recordings");
    std::fs::create_dir_all(&folder).unwrap();
    let file = "north-20200101T000000Z.mp4";
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(file), "0123456789").unwrap();
    std::fs::write(folder.join("secret.mp4"), "secret").unwrap();
    let router = stage.router(None);
    let list = get(&router, "/api/v1/streams/north/recordings").await.json();
    let listed: Vec<_> = list.as_array().unwrap().iter().filter(|r| r["file"] == file).collect();
    assert_eq!(listed, [&json!({"file": file, "bytes": 10, "start_ms": 1_577_836_800_000_u64})]);
    let place = format!("/api/v1/streams/north/recordings/{file}");
    let whole = get(&router, &place).await;
    assert_eq!((whole.status.as_u16(), whole.body.as_str()), (200, "0123456789"));
    assert_eq!(whole.headers["content-type"], "video/mp4");
    let range = async |range: &str| send(&router, request("GET", &place).header("range", range).body(Body::empty()).unwrap()).await;
    let part = range("bytes=2-4").await;
    assert_eq!((part.status.as_u16(), part.body.as_str()), (206, "234"));
    assert_eq!(part.headers["content-range"], "bytes 2-4/10");
    assert_eq!(range("bytes=20-").await.status, 416);
    for other in [
        "secret.mp4",
        "..%2Flive.toml",
        "%2E%2E%2Flive.toml",
        "..",
        "north-20200101T000000Z.mp4.part",
        "%00",
        "",
    ] {
        let told = get(&router, &format!("/api/v1/streams/north/recordings/{other}")).await;
        assert_eq!(told.status, 404, "{other}: {}", told.body);
    }
}

#[test]
fn an_address_that_others_reach_needs_a_token() {
    let stage = Stage::new();
    let start = |listen: &str, token: Option<&str>| {
        let options = ServerOptions {
            listen: listen.parse().unwrap(),
            token: token.map(Secret::new),
            ..ServerOptions::default()
        };
        Server::start(stage.host.clone(), &options)
    };
    for open in ["0.0.0.0:0", "[::]:0"] {
        let error = start(open, None).unwrap_err().to_string();
        assert!(error.contains("which others reach: set server.token_file"), "{error}");
    }
    let server = start("0.0.0.0:0", Some(TOKEN)).unwrap();
    let taken = start(&server.address.to_string(), Some(TOKEN)).unwrap_err();
    assert_eq!(crate::error::kind_of(&taken), Kind::Unavailable);
    assert!(taken.to_string().contains("name another address"), "{taken}");
}

#[test]
fn it_stops_within_two_seconds_whoever_is_listening_and_ends_slow_requests() {
    let stage = Stage::new();
    stage.wait_until_live();
    let listen = ServerOptions {
        listen: "127.0.0.1:0".parse().unwrap(),
        ..ServerOptions::default()
    };
    let server = Server::start(stage.host.clone(), &listen).unwrap();
    let connect = |head: &str| {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        stream
    };
    let ask = |path: &str| connect(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    let begins = |stream: &mut TcpStream| {
        let mut bytes = [0; 15];
        stream.read_exact(&mut bytes).unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    };
    // One that never ends its head, and one of 1996.
    let begin = Instant::now();
    let mut endless = connect("GET / HTTP/1.1\r\nHost: localhost\r\nX: ");
    let mut old = connect("GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n");
    let mut text = String::new();
    old.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.0 200") && text.ends_with("ok\n"), "{text}");
    endless.read_to_end(&mut Vec::new()).ok();
    assert!(begin.elapsed() < HEAD_TIME + Duration::from_secs(5), "{:?}", begin.elapsed());
    // Some that would go on for ever, and one that never reads.
    let mut events = ask("/api/v1/events?past=all");
    let mut pictures = ask("/api/v1/streams/north/mjpeg");
    let _deaf = ask("/api/v1/streams/north/mjpeg");
    assert_eq!(
        (begins(&mut events).as_str(), begins(&mut pictures).as_str()),
        ("HTTP/1.1 200 OK", "HTTP/1.1 200 OK")
    );
    let (begin, address) = (Instant::now(), server.address);
    server.stop();
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn the_files_of_the_page_load_nothing_from_elsewhere_and_make_no_markup_of_text() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server/page");
    let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    names.sort();
    for path in names {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let address = if name == "index.html" {
            "/".to_owned()
        } else {
            format!("/page/{name}")
        };
        assert!(page::is_file(&address), "{name} is not served");
        for bad in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "https://",
            "style=\"",
        ] {
            assert!(!text.contains(bad), "{name} holds {bad}");
        }
    }
}
