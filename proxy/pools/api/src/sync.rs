//! Cognito Sync (`cognito-sync`): its operations, one file each.

use wire::sync::Operation;

use crate::table::table;

table! { Operation;
    BulkPublish => not_built,
    DeleteDataset => not_built,
    DescribeDataset => not_built,
    DescribeIdentityPoolUsage => not_built,
    DescribeIdentityUsage => not_built,
    GetBulkPublishDetails => not_built,
    GetCognitoEvents => not_built,
    GetIdentityPoolConfiguration => not_built,
    ListDatasets => not_built,
    ListIdentityPoolUsage => not_built,
    ListRecords => not_built,
    RegisterDevice => not_built,
    SetCognitoEvents => not_built,
    SetIdentityPoolConfiguration => not_built,
    SubscribeToDataset => not_built,
    UnsubscribeFromDataset => not_built,
    UpdateRecords => not_built,
}
