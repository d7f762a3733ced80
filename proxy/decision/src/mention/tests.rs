use cedar_policy::Policy;

use super::Mentions;

fn of(conditions: &str) -> Mentions {
    let policy = Policy::parse(
        None,
        format!("permit(principal, action, resource) {conditions};"),
    )
    .unwrap();
    Mentions::of([&policy], "A::User")
}

fn scoped(scope: &str) -> Mentions {
    let policy = Policy::parse(None, format!("permit({scope});")).unwrap();
    Mentions::of([&policy], "A::User")
}

#[test]
fn nothing_is_mentioned_by_a_policy_without_conditions() {
    assert_eq!(scoped("principal, action, resource"), Mentions::default());
    assert_eq!(
        scoped("principal is A::User, action == Action::\"x\", resource is A::Pet"),
        Mentions::default()
    );
}

#[test]
fn scopes_mention_groups_and_ids() {
    let group = scoped("principal in A::Group::\"g\", action, resource");
    assert!(group.caller.groups && !group.caller.principal && !group.resource);
    let user = scoped("principal in A::User::\"u\", action, resource");
    assert!(
        user.caller.groups && user.caller.principal,
        "a principal is in itself"
    );
    assert!(
        scoped("principal == A::User::\"u\", action, resource")
            .caller
            .principal
    );
    let resource = scoped("principal, action, resource == A::Pet::\"1\"");
    assert!(resource.resource && !resource.resource_parents);
    assert!(scoped("principal, action, resource is A::Pet in A::App::\"1\"").resource_parents);
}

#[test]
fn conditions_mention_paths() {
    let mentions = of(
        r#"when { context.token.scope.contains("a") && context has token.client_id } unless { principal.email like "*@x" }"#,
    );
    assert!(
        mentions.context.touch(&["token", "scope"])
            && mentions.context.touch(&["token", "client_id"])
    );
    assert!(
        mentions.context.touch(&["token"])
            && !mentions.context.touch(&["token", "exp"])
            && !mentions.context.touch(&["time"])
    );
    assert!(
        mentions.context.within("token").touch(&["scope"])
            && !mentions.context.within("time").touch(&[])
    );
    assert!(
        mentions.caller.attributes.touch(&["email"]) && !mentions.caller.attributes.touch(&["sub"])
    );
    assert!(!mentions.caller.principal && !mentions.caller.groups && !mentions.resource);
}

#[test]
fn presence_is_less_than_the_value() {
    let has = of("when { context has token }");
    assert!(has.context.touch(&["token"]) && !has.context.touch(&["token", "exp"]));
    assert!(!has.context.within("token").touch(&["exp"]));
    assert!(
        of("when { context.token == context.token }")
            .context
            .touch(&["token", "exp"])
    );
}

#[test]
fn whole_variables_mention_everything_of_them() {
    for condition in [
        "[principal].contains(principal)",
        "(if true then principal else principal).email == \"x\"",
        "A::User::\"u\".email == \"x\"",
    ] {
        let mentions = of(&format!("when {{ {condition} }}"));
        assert!(
            mentions.caller.principal && mentions.caller.groups,
            "{condition}"
        );
        assert!(mentions.caller.attributes.touch(&["email"]), "{condition}");
    }
    assert!(of("when { context == {} }").context.touch(&["time"]));
    assert!(of("when { resource has owner }").resource);
    assert!(of("when { [resource] == [] }").resource);
}

#[test]
fn comparisons_and_membership_mention_ids() {
    let eq = of("when { principal == resource }");
    assert!(
        eq.caller.principal
            && !eq.caller.groups
            && eq.resource
            && !eq.caller.attributes.touch(&["x"])
    );
    let within = of("when { principal in [A::Group::\"a\", A::Group::\"b\"] }");
    assert!(within.caller.groups && !within.caller.principal);
    let dynamic = of("when { principal in context.groups }");
    assert!(
        dynamic.caller.groups && dynamic.caller.principal && dynamic.context.touch(&["groups"])
    );
    let other = of("when { A::User::\"u\" in A::Group::\"g\" }");
    assert!(other.caller.groups && other.caller.principal && other.resource_parents);
    let is = of("when { principal is A::User in A::Group::\"g\" && resource is A::Pet }");
    assert!(is.caller.groups && !is.caller.principal && !is.resource);
}

#[test]
fn what_is_asked_of_a_resource_is_asked_of_a_caller_who_is_it() {
    let selves = |conditions| of(conditions).with_self_as_resource().caller;
    let email = selves("when { resource has email && resource.email like \"a*\" }");
    assert!(email.principal && email.groups);
    assert!(email.attributes.touch(&["email"]) && !email.attributes.touch(&["level"]));
    assert!(
        selves("when { [resource].contains(principal) }")
            .attributes
            .touch(&["level"])
    );
    let eq = selves("when { resource == principal }");
    assert!(eq.principal && !eq.attributes.touch(&["level"]));
    let group = of("when { principal in A::Group::\"g\" }");
    assert!(!group.clone().with_self_as_resource().resource);
    let group = group.with_resource_above_caller();
    assert!(group.resource && group.resource_parents && !group.caller.principal);
    assert!(group.with_self_as_resource().caller.principal);
    let email = of("when { principal has email }").with_resource_above_caller();
    assert!(!email.resource && !email.resource_parents);
}
