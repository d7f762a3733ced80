//! Verified Permissions (`verifiedpermissions`): its operations, one file each.

use wire::permissions::Operation;

use crate::table::table;

table! { Operation;
    BatchGetPolicy => not_built,
    BatchIsAuthorized => not_built,
    BatchIsAuthorizedWithToken => not_built,
    CreateIdentitySource => not_built,
    CreatePolicy => not_built,
    CreatePolicyStore => not_built,
    CreatePolicyStoreAlias => not_built,
    CreatePolicyTemplate => not_built,
    DeleteIdentitySource => not_built,
    DeletePolicy => not_built,
    DeletePolicyStore => not_built,
    DeletePolicyStoreAlias => not_built,
    DeletePolicyTemplate => not_built,
    GetIdentitySource => not_built,
    GetPolicy => not_built,
    GetPolicyStore => not_built,
    GetPolicyStoreAlias => not_built,
    GetPolicyTemplate => not_built,
    GetSchema => not_built,
    IsAuthorized => not_built,
    IsAuthorizedWithToken => not_built,
    ListIdentitySources => not_built,
    ListPolicies => not_built,
    ListPolicyStoreAliases => not_built,
    ListPolicyStores => not_built,
    ListPolicyTemplates => not_built,
    ListTagsForResource => not_built,
    PutSchema => not_built,
    TagResource => not_built,
    UntagResource => not_built,
    UpdateIdentitySource => not_built,
    UpdatePolicy => not_built,
    UpdatePolicyStore => not_built,
    UpdatePolicyTemplate => not_built,
}
