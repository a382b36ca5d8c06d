// Azure Managed Redis as the triggers need it: events, one node that has them all, no keys, reached by private endpoint.

@description('Name of the cluster.')
param name string

@description('Region.')
param location string

@description('Tags of all resources.')
param tags object

@description('Size.')
param skuName string

@description('Whether it is replicated.')
param highAvailability bool

@description('Whether the notification flags are set here, by a preview version of the API.')
param usePreviewApi bool

@description('Whether the identity gets the rights of redis-access.txt only, by a preview version of the API.')
param leastRights bool

@description('Object id of the identity that gets access.')
param principalId string

@description('Subnet of the private endpoint.')
param endpointSubnetId string

@description('Network of the private endpoint.')
param vnetId string

// The events are local to the node that owns a key: with a cluster policy the trigger would see a part of them, and
// scripts over keys of several slots would fail.
//
// VolatileTTL: when memory is full, keys go that would have expired first (charts, batches, caches). Sessions, retries
// and dead letters, which live for days, stay. NoEviction would refuse every sign-in instead; VolatileLRU evicts dead
// letters first, since nobody reads them.
var database = {
  clientProtocol: 'Encrypted'
  port: 10000
  clusteringPolicy: 'NoCluster'
  evictionPolicy: 'VolatileTTL'
  accessKeysAuthentication: 'Disabled'
}

resource cluster 'Microsoft.Cache/redisEnterprise@2025-07-01' = {
  name: name
  location: location
  tags: tags
  sku: { name: skuName }
  properties: {
    minimumTlsVersion: '1.2'
    highAvailability: highAvailability ? 'Enabled' : 'Disabled'
    publicNetworkAccess: 'Disabled'
  }
}

resource withEvents 'Microsoft.Cache/redisEnterprise/databases@2026-02-01-preview' = if (usePreviewApi) {
  parent: cluster
  name: 'default'
  properties: union(database, { notifyKeyspaceEvents: 'Kg$hlxe' })
}

resource withoutEvents 'Microsoft.Cache/redisEnterprise/databases@2025-07-01' = if (!usePreviewApi) {
  parent: cluster
  name: 'default'
  properties: database
}

// `default` is the only policy that there is: all commands on all keys.
resource allRights 'Microsoft.Cache/redisEnterprise/databases/accessPolicyAssignments@2025-07-01' = if (!leastRights) {
  name: '${cluster.name}/default/app'
  properties: { accessPolicyName: 'default', user: { objectId: principalId } }
  dependsOn: [withEvents, withoutEvents]
}

resource ownRights 'Microsoft.Cache/redisEnterprise/databases/accessPolicyAssignments@2026-05-01-preview' = if (leastRights) {
  name: '${cluster.name}/default/app'
  properties: {
    accessPolicyName: 'default'
    accessString: trim(loadTextContent('../redis-access.txt'))
    user: { objectId: principalId }
  }
  dependsOn: [withEvents, withoutEvents]
}

module endpoint 'private-endpoint.bicep' = {
  name: 'redis-endpoint'
  params: {
    name: 'pe-${name}'
    location: location
    tags: tags
    serviceId: cluster.id
    groupId: 'redisEnterprise'
    zoneName: 'privatelink.redis.azure.net'
    subnetId: endpointSubnetId
    vnetId: vnetId
  }
}

output hostName string = '${cluster.properties.hostName}:10000'
