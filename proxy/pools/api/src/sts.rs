//! Security Token Service (`sts`): its operations, one file each.

use wire::sts::Operation;

use crate::table::table;

table! { Operation;
    AssumeRole => not_built,
    AssumeRoleWithSAML => not_built,
    AssumeRoleWithWebIdentity => not_built,
    AssumeRoot => not_built,
    DecodeAuthorizationMessage => not_built,
    GetAccessKeyInfo => not_built,
    GetCallerIdentity => not_built,
    GetDelegatedAccessToken => not_built,
    GetFederationToken => not_built,
    GetSessionToken => not_built,
    GetWebIdentityToken => not_built,
}
