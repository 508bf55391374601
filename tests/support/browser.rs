//! A headless Chromium that is driven over WebDriver (<https://www.w3.org/TR/webdriver2/>).
#![allow(dead_code, missing_docs, reason = "each test file uses a part of it")]

use super::http;
use base64::Engine;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub struct Browser {
    driver: Child,
    place: String,
    session: String,
}

impl Browser {
    /// `None` where there is no Chromium or no driver for it.
    pub fn start() -> Option<Self> {
        let chromium = Command::new("chromium").arg("--version").output().is_ok_and(|o| o.status.success());
        let driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Some(mut driver) = driver.ok().filter(|_| chromium) else {
            println!("skipped: apt install chromium chromium-driver");
            return None;
        };
        let out = BufReader::new(driver.stdout.take().expect("piped above"));
        let started = out.lines().map_while(Result::ok).find_map(|line| {
            let port = line.split_once("started successfully on port ")?.1;
            Some(port.trim_end_matches('.').to_owned())
        });
        let place = format!("127.0.0.1:{}", started.expect("the driver tells its port"));
        let args = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {"browserName": "chrome",
            "goog:loggingPrefs": {"browser": "ALL"}, "goog:chromeOptions": {"args": args}}}});
        let mut browser = Self {
            driver,
            place,
            session: "/session".into(),
        };
        let session = browser.post("", wanted);
        browser.session = format!("/session/{}", session["sessionId"].as_str().expect("a session has an id"));
        Some(browser)
    }

    fn post(&self, path: &str, body: Value) -> Value {
        let answer = http::ask(&self.place, "POST", &format!("{}{path}", self.session), &[], Some(&body));
        assert_eq!(answer.status, 200, "{path} {body}: {}", answer.text());
        answer.json()["value"].take()
    }

    pub fn open(&self, url: &str) {
        self.post("/url", json!({ "url": url }));
    }

    /// What a function body returns.
    pub fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", json!({"script": script, "args": []}))
    }

    /// Waits until an expression is true.
    pub fn wait(&self, expression: &str) {
        let begin = Instant::now();
        while self.run(&format!("return Boolean({expression});")) != true {
            assert!(
                begin.elapsed() < Duration::from_secs(45),
                "not true in 45 s: {expression}\n{}",
                self.run("return document.body.innerText")
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn element(&self, css: &str) -> String {
        let found = self.post("/element", json!({"using": "css selector", "value": css}));
        let id = found.as_object().and_then(|o| o.values().next()).and_then(Value::as_str);
        id.expect("an element has an id").to_owned()
    }

    /// A click as a hand does it: the element must be there, be seen, and not be covered.
    pub fn click(&self, css: &str) {
        self.post(&format!("/element/{}/click", self.element(css)), json!({}));
    }

    pub fn type_into(&self, css: &str, text: &str) {
        self.post(&format!("/element/{}/value", self.element(css)), json!({ "text": text }));
    }

    fn tell_chromium(&self, command: &str, params: Value) -> Value {
        self.post("/goog/cdp/execute", json!({"cmd": command, "params": params}))
    }

    /// A window so wide, in the light or in the dark.
    pub fn look_like(&self, width: u32, scheme: &str) {
        let device = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
        self.tell_chromium("Emulation.setDeviceMetricsOverride", device);
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.tell_chromium("Emulation.setEmulatedMedia", media);
    }

    /// The whole page as PNG.
    pub fn picture(&self, path: &Path) {
        let shot = self.tell_chromium("Page.captureScreenshot", json!({"captureBeyondViewport": true}));
        let png = base64::engine::general_purpose::STANDARD.decode(shot["data"].as_str().expect("a picture"));
        std::fs::write(path, png.expect("base64")).expect("the folder can be written");
    }

    /// What the page's scripts complained about since the last time.
    pub fn complaints(&self) -> Vec<String> {
        let log = self.post("/se/log", json!({"type": "browser"}));
        let entries = log.as_array().into_iter().flatten();
        let errors = entries.filter(|e| e["level"] == "SEVERE");
        errors.filter_map(|e| Some(e["message"].as_str()?.to_owned())).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Else the browser outlives its driver.
        if self.session != "/session" {
            http::ask(&self.place, "DELETE", &self.session, &[], None);
        }
        self.driver.kill().ok();
        self.driver.wait().ok();
    }
}
