//! `schemas/openapi/query-service.json` is what the handlers say of themselves.

use std::{env, fs, path::Path};

use query_service::inbound::http;
use service_kit::{health::Health, openapi, shutdown::Shutdown, telemetry::Metrics};

#[test]
fn the_file_is_what_the_handlers_say() {
    let health = Health::new(Shutdown::manual(std::time::Duration::from_secs(1)).token());
    let routes = http::routes().operations(&health, &Metrics::install().unwrap()).documented(&http::ABOUT);
    let document = routes.document(&http::ABOUT);
    let described: usize = document["paths"].as_object().unwrap().values().map(|item| item.as_object().unwrap().len()).sum();
    assert_eq!(described, routes.table().count(), "each route is described, and nothing else");
    for endpoint in routes.table() {
        let operation = &document["paths"][endpoint.path][endpoint.method.as_str().to_lowercase()];
        assert!(operation["responses"]["200"].is_object(), "{} {}: {operation}", endpoint.method, endpoint.path);
        assert_eq!(operation.get("security").is_some(), endpoint.roles.is_some(), "{} {}", endpoint.method, endpoint.path);
    }
    let (file, text) =
        (Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/openapi/query-service.json"), openapi::pretty(&document));
    if env::var_os("UPDATE_SCHEMAS").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, &text).unwrap();
    }
    let same = fs::read_to_string(&file).is_ok_and(|written| written == text);
    assert!(same, "{} is not what the handlers say: run `UPDATE_SCHEMAS=1 cargo test -p query-service openapi`", file.display());
}
