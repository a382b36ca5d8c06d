// Everything that the app needs in Azure, in one resource group.
//
//   azd up                                    reads main.parameters.json
//   az deployment sub create --location LOCATION --template-file infra/main.bicep --parameters infra/prod.bicepparam
//
// docs/azure.md says what is created and why; its table of roles is held against these files by a test.
targetScope = 'subscription'

@description('Name of the environment, of letters, digits and single hyphens; part of the names of all resources.')
@minLength(2)
@maxLength(20)
param environmentName string

@description('Region of all resources.')
param location string

@description('Secret that turns session tokens into fingerprints and signs the audit log: 16 characters or more, random. Keep a copy: old audit files are verified with it.')
@secure()
@minLength(16)
param auditKey string

@description('Size of the Premium plan.')
@allowed(['EP1', 'EP2', 'EP3'])
param planSku string = 'EP1'

@description('Largest number of instances. Every instance receives all events; the app shares the work among them.')
@minValue(1)
@maxValue(20)
param maximumInstances int = 2

@description('Size of Azure Managed Redis, up to 25 GB: NoCluster, which the triggers need, has no larger one.')
param redisSku string = 'Balanced_B1'

@description('Whether Redis has a replica.')
param highAvailability bool = true

@description('Host name and port of an existing Azure Cache for Redis or Azure Managed Redis, such as NAME.redis.cache.windows.net:6380; empty to create an Azure Managed Redis. Its access policy, network and notification flags are then yours to set.')
param existingRedis string = ''

@description('Whether the template sets the notification flags, which needs a preview version of the API. If false, run infra/set-notifications.sh after each deployment.')
param usePreviewApi bool = true

@description('Whether the app has only the rights in Redis that it needs (redis-access.txt), which takes a preview version of the API. If false, it has all: the stable versions know nothing else.')
param leastRedisRights bool = false

@description('Days for which nobody can change or delete an audit file. The policy is created unlocked.')
@minValue(1)
@maxValue(146000)
param auditRetentionDays int = 365

@description('Whether the policy of the audit container is locked by now. A locked policy can only be extended, so the template leaves it alone.')
param auditPolicyLocked bool = false

@description('Whether there is a slot `staging`, in standby: docs/azure.md, Upgrade and roll back.')
param stagingSlot bool = false

@description('File share that production runs from. A swap exchanges the shares, so after each it is the other one.')
@allowed(['app', 'staging'])
param liveShare string = 'app'

@description('Mail address for alerts; empty for none.')
param alertEmail string = ''

@description('Further app settings, by name: see docs/settings.md.')
param appSettings object = {}

var tags = { 'azd-env-name': environmentName, application: 'keyspace-functions' }
var suffix = toLower(uniqueString(subscription().id, environmentName, location))

resource group 'Microsoft.Resources/resourceGroups@2024-03-01' = {
  name: 'rg-${environmentName}'
  location: location
  tags: tags
}

module identity 'modules/identity.bicep' = {
  name: 'identity'
  scope: group
  params: { name: 'id-${environmentName}-${suffix}', location: location, tags: tags }
}

module network 'modules/network.bicep' = {
  name: 'network'
  scope: group
  params: { name: 'vnet-${environmentName}', location: location, tags: tags }
}

module telemetry 'modules/telemetry.bicep' = {
  name: 'telemetry'
  scope: group
  params: {
    name: 'appi-${environmentName}-${suffix}'
    location: location
    tags: tags
    principalId: identity.outputs.principalId
  }
}

module storage 'modules/storage.bicep' = {
  name: 'storage'
  scope: group
  params: {
    name: take('st${suffix}', 24)
    contentName: take('stc${suffix}', 24)
    location: location
    tags: tags
    principalId: identity.outputs.principalId
    auditRetentionDays: auditRetentionDays
    auditPolicyLocked: auditPolicyLocked
    endpointSubnetId: network.outputs.endpointSubnetId
    vnetId: network.outputs.vnetId
  }
}

module vault 'modules/vault.bicep' = {
  name: 'vault'
  scope: group
  params: {
    name: take('kv-${suffix}', 24)
    location: location
    tags: tags
    principalId: identity.outputs.principalId
    auditKey: auditKey
    endpointSubnetId: network.outputs.endpointSubnetId
    vnetId: network.outputs.vnetId
  }
}

module redis 'modules/redis.bicep' = if (empty(existingRedis)) {
  name: 'redis'
  scope: group
  params: {
    name: 'redis-${environmentName}-${suffix}'
    location: location
    tags: tags
    skuName: redisSku
    highAvailability: highAvailability
    usePreviewApi: usePreviewApi
    leastRights: leastRedisRights
    principalId: identity.outputs.principalId
    endpointSubnetId: network.outputs.endpointSubnetId
    vnetId: network.outputs.vnetId
  }
}

module app 'modules/app.bicep' = {
  name: 'app'
  scope: group
  params: {
    name: 'func-${environmentName}-${suffix}'
    planName: 'plan-${environmentName}'
    location: location
    tags: tags
    planSku: planSku
    maximumInstances: maximumInstances
    identityId: identity.outputs.id
    identityClientId: identity.outputs.clientId
    identityPrincipalId: identity.outputs.principalId
    subnetId: network.outputs.appSubnetId
    storageName: storage.outputs.name
    contentName: storage.outputs.contentName
    liveShare: liveShare
    stagingSlot: stagingSlot
    auditKeySecretUri: vault.outputs.auditKeySecretUri
    redisHostName: empty(existingRedis) ? redis!.outputs.hostName : existingRedis
    applicationInsightsConnectionString: telemetry.outputs.connectionString
    appSettings: appSettings
  }
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  scope: group
  params: {
    environmentName: environmentName
    location: location
    tags: tags
    siteId: app.outputs.id
    applicationInsightsId: telemetry.outputs.id
    alertEmail: alertEmail
  }
}

@description('Name of the function app, for func azure functionapp publish.')
output AZURE_FUNCTION_APP_NAME string = app.outputs.name

@description('Where the app answers.')
output SERVICE_APP_URI string = app.outputs.uri

@description('The resource group of everything.')
output AZURE_RESOURCE_GROUP string = group.name

@description('Object id of the app identity: its user name in Redis.')
output IDENTITY_PRINCIPAL_ID string = identity.outputs.principalId
