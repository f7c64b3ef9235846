//! The page's types are those of the core: `ui/src/api/bindings.ts` is generated, and this fails
//! when it is stale. `cargo xtask bindings` writes it.

use std::{collections::BTreeMap, path::Path};

use bedside_app::commands::{Pictures, UiEvent};
use ts_rs::{Config, TS, TypeVisitor};

struct Collector<'a> {
    config: &'a Config,
    declarations: BTreeMap<String, String>,
}

impl TypeVisitor for Collector<'_> {
    fn visit<T: TS + 'static + ?Sized>(&mut self) {
        // Only what would have a file of its own has a declaration.
        if T::output_path().is_none() {
            return;
        }
        let name = T::ident(self.config);
        if !self.declarations.contains_key(&name) {
            self.declarations.insert(name, format!("export {}", T::decl(self.config)));
            T::visit_dependencies(self);
        }
    }
}

#[test]
fn bindings_are_fresh() {
    let config = Config::new().with_large_int("number");
    let mut collector = Collector { config: &config, declarations: BTreeMap::new() };
    collector.visit::<bedside_client::Command>();
    collector.visit::<UiEvent>();
    collector.visit::<Pictures>();
    let mut text =
        String::from("// Generated from the core's types by `cargo xtask bindings`. Not to be edited.\n");
    for declaration in collector.declarations.values() {
        text.push('\n');
        text.push_str(declaration);
        text.push('\n');
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("ui/src/api/bindings.ts");
    if std::env::var_os("BEDSIDE_WRITE_BINDINGS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        return;
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(there == text, "ui/src/api/bindings.ts is stale: run `cargo xtask bindings`");
}
