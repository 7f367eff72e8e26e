use super::behaviour::Behaviour;

/// The table is what people read.
#[test]
fn the_readme_has_every_behaviour() {
    let readme = include_str!("../../README.md");
    for behaviour in Behaviour::ALL {
        assert!(readme.contains(&format!("\n| `{}` |", behaviour.name())), "{behaviour:?}");
        assert_eq!(behaviour.name().parse(), Ok(behaviour));
        assert_eq!(serde_json::to_value(behaviour).unwrap(), behaviour.name());
    }
}
