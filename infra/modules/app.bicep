// The function app on a Premium plan: at least one instance always runs, because the triggers have to listen.

@description('Name of the function app.')
param name string

@description('Name of the plan.')
param planName string

@description('Region.')
param location string

@description('Tags of all resources.')
param tags object

@description('Size of the plan.')
param planSku string

@description('Largest number of instances.')
param maximumInstances int

@description('The identity of the app.')
param identityId string

@description('Its client id.')
param identityClientId string

@description('Its object id: its user name in Redis.')
param identityPrincipalId string

@description('Subnet of the outgoing calls.')
param subnetId string

@description('Storage account of the host and the audit log.')
param storageName string

@description('Storage account of the file share.')
param contentName string

@description('File share of the code of production; the slot runs from the other one.')
@allowed(['app', 'staging'])
param liveShare string

@description('Whether there is a slot `staging`.')
param stagingSlot bool

@description('Secret with AUDIT_KEY.')
param auditKeySecretUri string

@description('Host name and port of Redis.')
param redisHostName string

@description('Where telemetry goes. Not a secret: sending needs the identity.')
param applicationInsightsConnectionString string

@description('Further app settings, by name.')
param appSettings object

// The host derives its id from the first 32 characters of the name, with the slot at the end. Two hosts with one id on one
// storage account do not start.
var hostId = 'ks-${uniqueString(resourceGroup().id, name)}'

var settings = {
  FUNCTIONS_EXTENSION_VERSION: '~4'
  FUNCTIONS_WORKER_RUNTIME: 'python'
  FUNCTIONS_ENABLE_DRAIN_ON_APP_STOPPING: '1'
  FUNCTIONS_REQUEST_BODY_SIZE_LIMIT: '65536'
  WEBSITE_SWAP_WARMUP_PING_PATH: '/api/health'
  WEBSITE_SWAP_WARMUP_PING_STATUSES: '200'
  SCM_DO_BUILD_DURING_DEPLOYMENT: 'true'
  ENABLE_ORYX_BUILD: 'true'
  WEBSITE_CONTENTAZUREFILECONNECTIONSTRING: 'DefaultEndpointsProtocol=https;AccountName=${content.name};AccountKey=${content.listKeys().keys[0].value};EndpointSuffix=${environment().suffixes.storage}'
  WEBSITE_CONTENTSHARE: liveShare
  AzureFunctionsWebHost__hostid: hostId
  AzureWebJobsStorage__accountName: storageName
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: identityClientId
  APPLICATIONINSIGHTS_CONNECTION_STRING: applicationInsightsConnectionString
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'Authorization=AAD;ClientId=${identityClientId}'
  PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY: 'true'
  Redis__redisHostName: redisHostName
  Redis__principalId: identityPrincipalId
  Redis__clientId: identityClientId
  Redis__credential: 'managedidentity'
  AUDIT_KEY: '@Microsoft.KeyVault(SecretUri=${auditKeySecretUri})'
}

var stagingShare = liveShare == 'app' ? 'staging' : 'app'

resource content 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: contentName
}

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'elastic'
  sku: { name: planSku, tier: 'ElasticPremium', capacity: 1 }
  properties: { reserved: true, maximumElasticWorkerCount: maximumInstances }
}

// What an app on a Premium plan needs when it is created; `config` and `stagingConfig` set all of the settings.
var firstSettings = [
  { name: 'FUNCTIONS_EXTENSION_VERSION', value: settings.FUNCTIONS_EXTENSION_VERSION }
  { name: 'FUNCTIONS_WORKER_RUNTIME', value: settings.FUNCTIONS_WORKER_RUNTIME }
  { name: 'WEBSITE_CONTENTAZUREFILECONNECTIONSTRING', value: settings.WEBSITE_CONTENTAZUREFILECONNECTIONSTRING }
]

resource site 'Microsoft.Web/sites@2024-04-01' = {
  name: name
  location: location
  tags: union(tags, { 'azd-service-name': 'app' })
  kind: 'functionapp,linux'
  identity: { type: 'UserAssigned', userAssignedIdentities: { '${identityId}': {} } }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    keyVaultReferenceIdentity: identityId
    virtualNetworkSubnetId: subnetId
    vnetRouteAllEnabled: true
    vnetContentShareEnabled: true
    siteConfig: {
      linuxFxVersion: 'Python|3.13'
      minimumElasticInstanceCount: 1
      functionAppScaleLimit: maximumInstances
      healthCheckPath: '/api/health'
      http20Enabled: true
      minTlsVersion: '1.2'
      ftpsState: 'Disabled'
      appSettings: concat(firstSettings, [{ name: 'WEBSITE_CONTENTSHARE', value: liveShare }])
    }
  }
}

resource config 'Microsoft.Web/sites/config@2024-04-01' = {
  parent: site
  name: 'appsettings'
  properties: union(settings, appSettings)
}

// What stays with the slot in a swap. The file share does not: it is the code, which a swap exchanges.
resource staysWithTheSlot 'Microsoft.Web/sites/config@2024-04-01' = {
  parent: site
  name: 'slotConfigNames'
  properties: { appSettingNames: ['AzureFunctionsWebHost__hostid', 'STANDBY'] }
  dependsOn: [config]
}

// Publishing signs in with Entra only.
resource noFtpPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = {
  parent: site
  name: 'ftp'
  properties: { allow: false }
}

resource noDeploymentPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = {
  parent: site
  name: 'scm'
  properties: { allow: false }
}

// Like `site`; a test compares them.
resource staging 'Microsoft.Web/sites/slots@2024-04-01' = if (stagingSlot) {
  parent: site
  name: 'staging'
  location: location
  tags: tags
  kind: 'functionapp,linux'
  identity: { type: 'UserAssigned', userAssignedIdentities: { '${identityId}': {} } }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    keyVaultReferenceIdentity: identityId
    virtualNetworkSubnetId: subnetId
    vnetRouteAllEnabled: true
    vnetContentShareEnabled: true
    siteConfig: {
      linuxFxVersion: 'Python|3.13'
      minimumElasticInstanceCount: 1
      functionAppScaleLimit: maximumInstances
      healthCheckPath: '/api/health'
      http20Enabled: true
      minTlsVersion: '1.2'
      ftpsState: 'Disabled'
      appSettings: concat(firstSettings, [{ name: 'WEBSITE_CONTENTSHARE', value: stagingShare }])
    }
  }
  dependsOn: [staysWithTheSlot]
}

resource stagingConfig 'Microsoft.Web/sites/slots/config@2024-04-01' = if (stagingSlot) {
  parent: staging
  name: 'appsettings'
  properties: union(settings, appSettings, {
    WEBSITE_CONTENTSHARE: stagingShare
    AzureFunctionsWebHost__hostid: '${hostId}-staging'
    STANDBY: 'true'
  })
}

resource noFtpPasswordOfStaging 'Microsoft.Web/sites/slots/basicPublishingCredentialsPolicies@2024-04-01' = if (stagingSlot) {
  parent: staging
  name: 'ftp'
  properties: { allow: false }
}

resource noDeploymentPasswordOfStaging 'Microsoft.Web/sites/slots/basicPublishingCredentialsPolicies@2024-04-01' = if (stagingSlot) {
  parent: staging
  name: 'scm'
  properties: { allow: false }
}

output id string = site.id
output name string = site.name
output uri string = 'https://${site.properties.defaultHostName}'
