//! How users, groups and deliveries look on the wire.

use engine::client::Client;
use engine::group::Group;
use engine::message::{Delivery, Medium};
use engine::user::{Given, Status, User};
use wire::EpochSeconds;
use wire::idp::{
    AttributeType, CodeDeliveryDetailsType, DeliveryMediumType, GroupType, UserStatusType, UserType,
};

/// A user in a list.
pub(super) fn user(user: User) -> UserType {
    UserType {
        attributes: Some(attributes(&user)),
        user_create_date: Some(EpochSeconds(user.created_ms)),
        user_last_modified_date: Some(EpochSeconds(user.modified_ms)),
        enabled: Some(user.enabled),
        user_status: Some(status(user.status)),
        username: Some(user.username),
        mfa_options: None,
    }
}

/// All attributes, `sub` first.
pub(super) fn attributes(user: &User) -> Vec<AttributeType> {
    let sub = ("sub", user.sub.as_str());
    let rest = user
        .attributes
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    std::iter::once(sub).chain(rest).map(attribute).collect()
}

/// The attributes that a client may read.
pub(super) fn readable(user: &User, client: &Client) -> Vec<AttributeType> {
    let mut all = attributes(user);
    all.retain(|attribute| client.may_read(&attribute.name));
    all
}

/// Attributes as a caller gives them; one without a value has an empty one.
pub(super) fn given(attributes: Option<Vec<AttributeType>>) -> Given {
    let pair = |one: AttributeType| (one.name, one.value.unwrap_or_default());
    attributes.into_iter().flatten().map(pair).collect()
}

/// A user's status.
pub(super) fn status(status: Status) -> UserStatusType {
    match status {
        Status::Unconfirmed => UserStatusType::Unconfirmed,
        Status::Confirmed => UserStatusType::Confirmed,
        Status::ForceChangePassword => UserStatusType::ForceChangePassword,
        Status::ResetRequired => UserStatusType::ResetRequired,
    }
}

/// A group.
pub(super) fn group(group: Group) -> GroupType {
    GroupType {
        group_name: Some(group.name),
        user_pool_id: Some(group.pool_id),
        description: group.description,
        role_arn: group.role_arn,
        precedence: group.precedence,
        last_modified_date: Some(EpochSeconds(group.modified_ms)),
        creation_date: Some(EpochSeconds(group.created_ms)),
    }
}

/// Where a code went.
pub(super) fn delivery(delivery: Delivery) -> CodeDeliveryDetailsType {
    CodeDeliveryDetailsType {
        attribute_name: Some(delivery.medium.attribute().to_owned()),
        delivery_medium: Some(match delivery.medium {
            Medium::Email => DeliveryMediumType::Email,
            Medium::Sms => DeliveryMediumType::Sms,
        }),
        destination: Some(delivery.destination),
    }
}

/// How many items a page has: AWS's most, unless the caller wants fewer.
pub(super) fn limit(asked: Option<i64>) -> usize {
    asked
        .and_then(|asked| usize::try_from(asked).ok())
        .filter(|asked| (1..=MAX_PAGE).contains(asked))
        .unwrap_or(MAX_PAGE)
}

fn attribute((name, value): (&str, &str)) -> AttributeType {
    AttributeType {
        name: name.to_owned(),
        value: Some(value.to_owned()),
    }
}

const MAX_PAGE: usize = 60;
