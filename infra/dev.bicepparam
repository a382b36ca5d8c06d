using './main.bicep'

// The smallest that works: one instance, Redis without a replica, audit files that can be deleted after a day.
param environmentName = 'keyspace-dev'
param location = readEnvironmentVariable('AZURE_LOCATION', 'westeurope')
param auditKey = readEnvironmentVariable('AUDIT_KEY')
param maximumInstances = 1
param redisSku = 'Balanced_B0'
param highAvailability = false
param auditRetentionDays = 1
