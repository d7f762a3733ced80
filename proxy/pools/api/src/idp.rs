//! Cognito user pools (`cognito-idp`): its operations, one file each.

mod admin_add_user_to_group;
mod admin_confirm_sign_up;
mod admin_create_user;
mod admin_delete_user;
mod admin_disable_user;
mod admin_enable_user;
mod admin_get_user;
mod admin_initiate_auth;
mod admin_list_groups_for_user;
mod admin_remove_user_from_group;
mod admin_respond_to_auth_challenge;
mod admin_set_user_password;
mod admin_update_user_attributes;
mod admin_user_global_sign_out;
mod answer;
mod change_password;
mod confirm_sign_up;
mod create_group;
mod create_user_pool;
mod create_user_pool_client;
mod delete_group;
mod delete_user;
mod delete_user_pool;
mod delete_user_pool_client;
mod describe_user_pool;
mod describe_user_pool_client;
mod get_group;
mod get_tokens_from_refresh_token;
mod get_user;
mod get_user_attribute_verification_code;
mod global_sign_out;
mod initiate_auth;
mod list_groups;
mod list_user_pool_clients;
mod list_user_pools;
mod list_users;
mod list_users_in_group;
mod resend_confirmation_code;
mod respond_to_auth_challenge;
mod revoke_token;
mod settings;
mod shape;
mod sign_up;
mod update_group;
mod update_user_attributes;
mod update_user_pool;
mod update_user_pool_client;
mod verify_user_attribute;

use wire::idp::Operation;

use crate::table::table;

table! { Operation;
    AddCustomAttributes => not_built,
    AddUserPoolClientSecret => not_built,
    AdminAddUserToGroup => admin_add_user_to_group(Admin),
    AdminConfirmSignUp => admin_confirm_sign_up(Admin),
    AdminCreateUser => admin_create_user(Admin),
    AdminDeleteSoftwareToken => not_built,
    AdminDeleteUser => admin_delete_user(Admin),
    AdminDeleteUserAttributes => not_built,
    AdminDisableProviderForUser => not_built,
    AdminDisableUser => admin_disable_user(Admin),
    AdminEnableUser => admin_enable_user(Admin),
    AdminForgetDevice => not_built,
    AdminGetDevice => not_built,
    AdminGetUser => admin_get_user(Admin),
    AdminGetUserAuthFactors => not_built,
    AdminInitiateAuth => admin_initiate_auth(Admin),
    AdminLinkProviderForUser => not_built,
    AdminListDevices => not_built,
    AdminListGroupsForUser => admin_list_groups_for_user(Admin),
    AdminListUserAuthEvents => not_built,
    AdminListUserSessions => not_built,
    AdminRemoveUserFromGroup => admin_remove_user_from_group(Admin),
    AdminResetUserPassword => not_built,
    AdminRespondToAuthChallenge => admin_respond_to_auth_challenge(Admin),
    AdminRevokeUserSession => not_built,
    AdminSetUserMFAPreference => not_built,
    AdminSetUserPassword => admin_set_user_password(Admin),
    AdminSetUserSettings => not_built,
    AdminUpdateAuthEventFeedback => not_built,
    AdminUpdateDeviceStatus => not_built,
    AdminUpdateUserAttributes => admin_update_user_attributes(Admin),
    AdminUserGlobalSignOut => admin_user_global_sign_out(Admin),
    AssociateSoftwareToken => not_built,
    ChangePassword => change_password(Bearer),
    CompleteWebAuthnRegistration => not_built,
    ConfirmDevice => not_built,
    ConfirmForgotPassword => not_built,
    ConfirmSignUp => confirm_sign_up(Public),
    CreateGroup => create_group(Admin),
    CreateIdentityProvider => not_built,
    CreateManagedLoginBranding => not_built,
    CreateResourceServer => not_built,
    CreateTerms => not_built,
    CreateUserImportJob => not_built,
    CreateUserPool => create_user_pool(Admin),
    CreateUserPoolClient => create_user_pool_client(Admin),
    CreateUserPoolDomain => not_built,
    CreateUserPoolReplica => not_built,
    DeleteGroup => delete_group(Admin),
    DeleteIdentityProvider => not_built,
    DeleteManagedLoginBranding => not_built,
    DeleteResourceServer => not_built,
    DeleteTerms => not_built,
    DeleteUser => delete_user(Bearer),
    DeleteUserAttributes => not_built,
    DeleteUserPool => delete_user_pool(Admin),
    DeleteUserPoolClient => delete_user_pool_client(Admin),
    DeleteUserPoolClientSecret => not_built,
    DeleteUserPoolDomain => not_built,
    DeleteUserPoolReplica => not_built,
    DeleteWebAuthnCredential => not_built,
    DescribeIdentityProvider => not_built,
    DescribeManagedLoginBranding => not_built,
    DescribeManagedLoginBrandingByClient => not_built,
    DescribeResourceServer => not_built,
    DescribeRiskConfiguration => not_built,
    DescribeTerms => not_built,
    DescribeTermsByClient => not_built,
    DescribeUserImportJob => not_built,
    DescribeUserPool => describe_user_pool(Admin),
    DescribeUserPoolClient => describe_user_pool_client(Admin),
    DescribeUserPoolDomain => not_built,
    ForgetDevice => not_built,
    ForgotPassword => not_built,
    GetCSVHeader => not_built,
    GetClientToken => not_built,
    GetDerivedToken => not_built,
    GetDevice => not_built,
    GetGroup => get_group(Admin),
    GetIdentityProviderByIdentifier => not_built,
    GetLogDeliveryConfiguration => not_built,
    GetProvisionedLimit => not_built,
    GetSigningCertificate => not_built,
    GetTokensFromRefreshToken => get_tokens_from_refresh_token(Public),
    GetUICustomization => not_built,
    GetUser => get_user(Bearer),
    GetUserAttributeVerificationCode => get_user_attribute_verification_code(Bearer),
    GetUserAuthFactors => not_built,
    GetUserPoolClientSessionConfiguration => not_built,
    GetUserPoolMfaConfig => not_built,
    GetUserPoolSessionConfiguration => not_built,
    GlobalSignOut => global_sign_out(Bearer),
    InitiateAuth => initiate_auth(Public),
    ListDevices => not_built,
    ListGroups => list_groups(Admin),
    ListIdentityProviders => not_built,
    ListResourceServers => not_built,
    ListTagsForResource => not_built,
    ListTerms => not_built,
    ListUserImportJobs => not_built,
    ListUserPoolClientSecrets => not_built,
    ListUserPoolClients => list_user_pool_clients(Admin),
    ListUserPoolReplicas => not_built,
    ListUserPools => list_user_pools(Admin),
    ListUserSessions => not_built,
    ListUsers => list_users(Admin),
    ListUsersInGroup => list_users_in_group(Admin),
    ListWebAuthnCredentials => not_built,
    ResendConfirmationCode => resend_confirmation_code(Public),
    RespondToAuthChallenge => respond_to_auth_challenge(Public),
    RevokeToken => revoke_token(Public),
    RevokeUserSession => not_built,
    SetLogDeliveryConfiguration => not_built,
    SetRiskConfiguration => not_built,
    SetUICustomization => not_built,
    SetUserMFAPreference => not_built,
    SetUserPoolClientSessionConfiguration => not_built,
    SetUserPoolMfaConfig => not_built,
    SetUserPoolSessionConfiguration => not_built,
    SetUserSettings => not_built,
    SignUp => sign_up(Public),
    StartUserImportJob => not_built,
    StartWebAuthnRegistration => not_built,
    StopUserImportJob => not_built,
    TagResource => not_built,
    UntagResource => not_built,
    UpdateAuthEventFeedback => not_built,
    UpdateDeviceStatus => not_built,
    UpdateGroup => update_group(Admin),
    UpdateIdentityProvider => not_built,
    UpdateManagedLoginBranding => not_built,
    UpdateProvisionedLimit => not_built,
    UpdateResourceServer => not_built,
    UpdateTerms => not_built,
    UpdateUserAttributes => update_user_attributes(Bearer),
    UpdateUserPool => update_user_pool(Admin),
    UpdateUserPoolClient => update_user_pool_client(Admin),
    UpdateUserPoolDomain => not_built,
    UpdateUserPoolReplica => not_built,
    VerifySoftwareToken => not_built,
    VerifyUserAttribute => verify_user_attribute(Bearer),
}
