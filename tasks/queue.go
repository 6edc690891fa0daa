package tasks

import "strings"

// QueueName is the name of the queue for an app, a family and a priority:
// "<app>:<family>:<priority>".
func QueueName(app string, family Family, priority Priority) string {
	return app + ":" + string(family) + ":" + string(priority)
}

// QueueNames lists all queues of an app.
func QueueNames(app string) []string {
	var names []string
	for _, family := range Families() {
		for _, priority := range Priorities() {
			names = append(names, QueueName(app, family, priority))
		}
	}
	return names
}

// ParseQueueName splits a queue's name; ok is false for a queue that is not
// emq's, such as one of another asynq user on the same Redis.
func ParseQueueName(name string) (app string, family Family, priority Priority, ok bool) {
	parts := strings.Split(name, ":")
	if len(parts) != 3 || CheckApp(parts[0]) != nil {
		return "", "", "", false
	}
	for _, f := range Families() {
		for _, p := range Priorities() {
			if parts[1] == string(f) && parts[2] == string(p) {
				return parts[0], f, p, true
			}
		}
	}
	return "", "", "", false
}
