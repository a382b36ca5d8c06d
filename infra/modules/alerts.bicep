// The alerts of docs/metrics.md, each with the section of the runbook to read.

@description('Name of the environment, for the names of the alerts.')
param environmentName string

@description('Region.')
param location string

@description('Tags of all resources.')
param tags object

@description('The function app.')
param siteId string

@description('Its Application Insights.')
param applicationInsightsId string

@description('Mail address for alerts; empty for none.')
param alertEmail string

var backlog = 'customMetrics | where name == "keyspace_functions.backlog" | extend what = tostring(customDimensions["what"])'
var outcomes = 'customMetrics | where name == "keyspace_functions.outcomes" | extend function = tostring(customDimensions["function"]), outcome = tostring(customDimensions["outcome"])'

// A rule fires when its query has rows. `period` is how much time the query sees.
var rules = [
  {
    name: 'events not flowing'
    severity: 1
    period: 'PT15M'
    runbook: 'nothing-happens'
    query: '${outcomes} | where function in ("process_fastapi_data", "update_charts", "handle_session_changes") | summarize events = sum(valueSum) | where events == 0'
  }
  {
    name: 'dead letters growing'
    severity: 2
    period: 'PT30M'
    runbook: 'dead-letters'
    query: '${backlog} | where what == "dead_letters" | summarize grown = max(valueMax) - min(valueMin) | where grown > 0'
  }
  {
    name: 'audit lag'
    severity: 1
    period: 'PT10M'
    runbook: 'audit-records-wait'
    query: '${backlog} | where what == "audit_records" | summarize waiting = min(valueMin) | where waiting > 1000'
  }
  {
    name: 'sweeps do the triggers\' work'
    severity: 2
    period: 'PT10M'
    runbook: 'the-sweep-does-the-work'
    query: '${outcomes} | where outcome == "processed" | summarize by_sweep = sumif(valueSum, function in ("sweep", "retry")), by_trigger = sumif(valueSum, function in ("process_fastapi_data", "update_charts", "handle_session_changes")) | where by_sweep > by_trigger'
  }
  {
    name: 'trigger deaf'
    severity: 1
    period: 'PT10M'
    runbook: 'the-trigger-is-deaf'
    query: 'customMetrics | where name == "keyspace_functions.deaf" | summarize worst = max(valueMax) by bin(timestamp, 5m) | summarize worst = min(worst) | where worst > 0'
  }
  {
    name: 'far behind'
    severity: 2
    period: 'PT10M'
    runbook: 'far-behind'
    query: 'customMetrics | where name == "keyspace_functions.behind" | summarize worst = max(valueMax) by bin(timestamp, 1m) | summarize worst = min(worst) | where worst > 5'
  }
]

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = if (!empty(alertEmail)) {
  name: 'ag-${environmentName}'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'keyspace'
    enabled: true
    emailReceivers: [{ name: 'mail', emailAddress: alertEmail, useCommonAlertSchema: true }]
  }
}

resource queries 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [for rule in rules: {
  name: '${environmentName}-${rule.runbook}'
  location: location
  tags: tags
  properties: {
    displayName: '${environmentName}: ${rule.name}'
    description: 'See docs/runbook.md#${rule.runbook}'
    severity: rule.severity
    enabled: true
    scopes: [applicationInsightsId]
    evaluationFrequency: 'PT5M'
    windowSize: rule.period
    criteria: {
      allOf: [
        {
          query: rule.query
          timeAggregation: 'Count'
          operator: 'GreaterThan'
          threshold: 0
          failingPeriods: { numberOfEvaluationPeriods: 2, minFailingPeriodsToAlert: 2 }
        }
      ]
    }
    actions: { actionGroups: empty(alertEmail) ? [] : [people.id] }
  }
}]

resource health 'Microsoft.Insights/metricAlerts@2018-03-01' = {
  name: '${environmentName}-health'
  location: 'global'
  tags: tags
  properties: {
    description: 'See docs/runbook.md'
    severity: 1
    enabled: true
    scopes: [siteId]
    evaluationFrequency: 'PT1M'
    windowSize: 'PT5M'
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          name: 'unhealthy'
          criterionType: 'StaticThresholdCriterion'
          metricName: 'HealthCheckStatus'
          metricNamespace: 'Microsoft.Web/sites'
          operator: 'LessThan'
          threshold: 100
          timeAggregation: 'Average'
        }
      ]
    }
    actions: empty(alertEmail) ? [] : [{ actionGroupId: people.id }]
  }
}
