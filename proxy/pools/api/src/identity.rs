//! Cognito identity pools (`cognito-identity`): its operations, one file each.

use wire::identity::Operation;

use crate::table::table;

table! { Operation;
    CreateIdentityPool => not_built,
    DeleteIdentities => not_built,
    DeleteIdentityPool => not_built,
    DescribeIdentity => not_built,
    DescribeIdentityPool => not_built,
    GetCredentialsForIdentity => not_built,
    GetId => not_built,
    GetIdentityPoolRoles => not_built,
    GetOpenIdToken => not_built,
    GetOpenIdTokenForDeveloperIdentity => not_built,
    GetPrincipalTagAttributeMap => not_built,
    ListIdentities => not_built,
    ListIdentityPools => not_built,
    ListTagsForResource => not_built,
    LookupDeveloperIdentity => not_built,
    MergeDeveloperIdentities => not_built,
    SetIdentityPoolRoles => not_built,
    SetPrincipalTagAttributeMap => not_built,
    TagResource => not_built,
    UnlinkDeveloperIdentity => not_built,
    UnlinkIdentity => not_built,
    UntagResource => not_built,
    UpdateIdentityPool => not_built,
}
