// Two accounts. The first is the host's own (locks of timers, function keys) and holds the audit log: no shared keys.
// The second holds nothing but the file share from which a Premium plan runs the app's code: Azure Files has no sign-in by
// identity for that, so it needs a key, which is in the app's settings. Whoever has it can replace the code.

@description('Name of the account of the host and the audit log.')
param name string

@description('Name of the account of the file share.')
param contentName string

@description('Region.')
param location string

@description('Tags of all resources.')
param tags object

@description('Object id of the identity that gets access.')
param principalId string

@description('Days for which audit files cannot be changed or deleted.')
param auditRetentionDays int

@description('Whether the policy of the audit container is locked, and is left alone.')
param auditPolicyLocked bool

@description('Subnet of the private endpoints.')
param endpointSubnetId string

@description('Network of the private endpoints.')
param vnetId string

var contentShares = ['app', 'staging'] // a slot runs from a share of its own
var zoneSuffix = environment().suffixes.storage
var blobDataOwner = 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
var tableDataContributor = '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'

resource account 'Microsoft.Storage/storageAccounts@2023-05-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: 'Standard_ZRS' }
  properties: {
    allowSharedKeyAccess: false
    allowBlobPublicAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: 'Disabled'
    networkAcls: { defaultAction: 'Deny', bypass: 'None' }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2023-05-01' = {
  parent: account
  name: 'default'
}

resource audit 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' = {
  parent: blobs
  name: 'audit'
  properties: { publicAccess: 'None' }
}

// Unlocked: lock it once the number of days is right (docs/audit.md). Appended blocks stay possible.
resource immutable 'Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies@2023-05-01' = if (!auditPolicyLocked) {
  parent: audit
  name: 'default'
  properties: { immutabilityPeriodSinceCreationInDays: auditRetentionDays, allowProtectedAppendWrites: true }
}

resource content 'Microsoft.Storage/storageAccounts@2023-05-01' = {
  name: contentName
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: 'Standard_LRS' }
  properties: {
    allowSharedKeyAccess: true
    allowBlobPublicAccess: false
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: 'Disabled'
    networkAcls: { defaultAction: 'Deny', bypass: 'None' }
  }
}

resource files 'Microsoft.Storage/storageAccounts/fileServices@2023-05-01' = {
  parent: content
  name: 'default'
}

resource shares 'Microsoft.Storage/storageAccounts/fileServices/shares@2023-05-01' = [for share in contentShares: {
  parent: files
  name: share
  properties: { shareQuota: 5 }
}]

resource readsAndWritesBlobs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: account
  name: guid(account.id, principalId, blobDataOwner)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', blobDataOwner)
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}

resource writesTables 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: account
  name: guid(account.id, principalId, tableDataContributor)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', tableDataContributor)
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}

module blobEndpoint 'private-endpoint.bicep' = {
  name: 'blob-endpoint'
  params: {
    name: 'pe-${name}-blob'
    location: location
    tags: tags
    serviceId: account.id
    groupId: 'blob'
    zoneName: 'privatelink.blob.${zoneSuffix}'
    subnetId: endpointSubnetId
    vnetId: vnetId
  }
}

module tableEndpoint 'private-endpoint.bicep' = {
  name: 'table-endpoint'
  params: {
    name: 'pe-${name}-table'
    location: location
    tags: tags
    serviceId: account.id
    groupId: 'table'
    zoneName: 'privatelink.table.${zoneSuffix}'
    subnetId: endpointSubnetId
    vnetId: vnetId
  }
}

module fileEndpoint 'private-endpoint.bicep' = {
  name: 'file-endpoint'
  params: {
    name: 'pe-${contentName}-file'
    location: location
    tags: tags
    serviceId: content.id
    groupId: 'file'
    zoneName: 'privatelink.file.${zoneSuffix}'
    subnetId: endpointSubnetId
    vnetId: vnetId
  }
}

output name string = account.name
output contentName string = content.name
