using './main.bicep'

param environmentName = 'keyspace-prod'
param location = readEnvironmentVariable('AZURE_LOCATION', 'westeurope')
param auditKey = readEnvironmentVariable('AUDIT_KEY')
param alertEmail = readEnvironmentVariable('ALERT_EMAIL', '')
param maximumInstances = 3
param redisSku = 'Balanced_B3'
param highAvailability = true
param auditRetentionDays = 365
