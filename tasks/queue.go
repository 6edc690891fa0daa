package tasks

import "strings"

// QueueName is the name of the queue for an app, an endpoint and a priority:
// "<app>:<endpoint>:<priority>".
func QueueName(app string, endpoint Endpoint, priority Priority) string {
	return app + ":" + string(endpoint) + ":" + string(priority)
}

// QueueNames lists all queues that an app may have.
func QueueNames(app string) []string {
	var names []string
	for _, info := range endpoints {
		for _, priority := range Priorities() {
			names = append(names, QueueName(app, info.Endpoint, priority))
		}
	}
	return names
}

// ParseQueueName splits a queue's name; ok is false for a queue that is not
// emq's, such as one of another asynq user on the same Redis.
func ParseQueueName(name string) (app string, endpoint Endpoint, priority Priority, ok bool) {
	parts := strings.Split(name, ":")
	if len(parts) != 3 || CheckApp(parts[0]) != nil {
		return "", "", "", false
	}
	endpoint, priority = Endpoint(parts[1]), Priority(parts[2])
	if _, known := endpoint.Info(); !known || priority != High && priority != Default && priority != Low {
		return "", "", "", false
	}
	return parts[0], endpoint, priority, true
}
