package main

import "fmt"

func rows() []row {
	return []row{
		{"Are people getting their notifications?", getting()},
		{"How fast?", fast()},
		{"Which edge hurts?", hurting()},
		{"What will run out first?", runningOut()},
	}
}

func getting() []panel {
	stat := func(p panel) panel {
		p.kind, p.wide, p.high = "stat", 4, 4
		return p
	}
	return []panel{
		stat(panel{
			title: "People connected", unit: "short", about: "Signed-in sessions of the chosen nodes. Compare with the same hour of yesterday.",
			asks: []ask{{expr: `sum(vibemesh_edge_sessions{$S})`, legend: "now"}, {expr: `sum(vibemesh_edge_sessions{$S} offset 1d)`, legend: "yesterday"}},
		}),
		stat(panel{
			title: "Alerts", unit: "short", from: 1, to: 1, about: "What fires now: pages, then tickets. Each has a runbook.",
			asks: []ask{
				{expr: `count(ALERTS{alertname=~"Vibemesh.*", alertstate="firing", severity="page", namespace=~"$namespace|"}) or vector(0)`, legend: "pages"},
				{expr: `count(ALERTS{alertname=~"Vibemesh.*", alertstate="firing", severity="ticket", namespace=~"$namespace|"}) or vector(0)`, legend: "tickets"},
			},
		}),
		stat(panel{
			title: "Ready", unit: "percentunit", from: 1, to: .5, falls: true,
			about: "The share of processes that answer /readyz with 200, and of the edges that the APIs know those that Prometheus sees: below 100% one is scraped by nobody, and nothing here speaks of it.",
			asks: []ask{
				{expr: `avg(vibemesh_ready{$S})`, legend: "ready"},
				{expr: `min(count by (namespace) (vibemesh_edge_sessions{$M}) / (max by (namespace) (vibemesh_control_edges{$M}) > 0))`, legend: "edges that are scraped"},
			},
		}),
		stat(panel{
			title: "NATS", unit: "percentunit", from: 1, to: .5, falls: true, words: map[string]string{"1": "well", "0": "lost"},
			about: "Connections lost: at least one of one process has no server, and nobody there gets what it carried. Copies of the log below 100%: a nats-server is missing or behind.",
			asks: []ask{
				{expr: `min(vibemesh_nats_connected{$S})`, legend: "connections"},
				{expr: `min(vibemesh_log_replicas_current{$M} / vibemesh_log_replicas{$M})`, legend: "copies of the log"},
			},
		}),
		stat(panel{
			title: "Upgrades turned away", unit: "percentunit", from: .02, to: .2, about: "Because the mesh could not serve them, though nothing was wrong with them.",
			asks: []ask{{expr: `(sum(rate(vibemesh_edge_handshakes_total{$S, result=~"busy|overload|unavailable|auth_unavailable"}[5m])) or vector(0)) / (sum(rate(vibemesh_edge_handshakes_total{$S}[5m])) > 0) or vector(0)`}},
		}),
		stat(panel{
			title: "Publishing failed", unit: "percentunit", from: .001, to: .05, about: "Publishing requests that were answered with 5xx.",
			asks: []ask{{expr: `(sum(rate(vibemesh_api_requests_total{$S, code=~"5..", route=~"/api/v1/ws/(toast|events|schedule/.*)"}[5m])) or vector(0)) / (sum(rate(vibemesh_api_requests_total{$S, route=~"/api/v1/ws/(toast|events|schedule/.*)"}[5m])) > 0) or vector(0)`}},
		}),
		{
			title: "Published, taken in, delivered", unit: "cps", about: "Taken in is per edge: every edge takes the whole log in. Published without taken in: the tails are lost. Taken in without delivered: the people are not there.",
			asks: []ask{
				{expr: `sum(rate(vibemesh_api_published_total{$S}[$__rate_interval]))`, legend: "published over HTTP"},
				{expr: `max(rate(vibemesh_tail_entries_total{$S}[$__rate_interval]))`, legend: "taken in by the fastest edge"},
				{expr: `min(rate(vibemesh_tail_entries_total{$S}[$__rate_interval]) and on (job, instance) vibemesh_edge_sessions)`, legend: "taken in by the slowest edge"},
				{expr: `sum(rate(vibemesh_edge_delivered_total{$S}[$__rate_interval]))`, legend: "delivered to sockets"},
			},
		},
		{
			title: "Sessions", unit: "short", stack: true, least: 0, about: "A step to another edge is a restart. A step of all is the network, the load balancer or the tokens.",
			asks: []ask{{expr: `vibemesh_edge_sessions{$S}`, legend: "{{instance}}"}},
		},
		{
			title: "Messages that an edge lacks", unit: "short", least: 0, from: 100, to: 1000,
			about: "As the edge knows, and as the log says. Above 0 for minutes: whoever is connected there gets them late, or not.",
			asks: []ask{
				{expr: `vibemesh_tail_lag_messages{$S} and on (job, instance) vibemesh_edge_sessions`, legend: "{{instance}} says"},
				{expr: `clamp_min(max by (namespace, partition) (vibemesh_log_last_sequence{$M}) - on (namespace, partition) group_right () vibemesh_edge_tail_sequence{$S}, 0)`, legend: "{{instance}} of partition {{partition}}, the log says"},
			},
		},
		{
			title: "Upgrades", idle: "nobody has connected", unit: "reqps", stack: true, least: 0, about: "By result; the table of metrics says what each means. A jump of ok is a reconnect storm.",
			asks: []ask{{expr: `sum by (result) (rate(vibemesh_edge_handshakes_total{$S}[$__rate_interval]))`, legend: "{{result}}"}},
		},
		{
			title: "HTTP answers", idle: "nothing was asked", unit: "reqps", least: 0, about: "5xx: backends cannot publish, people do not see their history. 429: somebody publishes more than they may.",
			asks: []ask{{expr: `sum by (code) (rate(vibemesh_api_requests_total{$S}[$__rate_interval]))`, legend: "{{code}}"}},
		},
		{
			title: "What people were told they missed", unit: "cps", least: 0, about: "Gaps, by reason, and malformed messages, which reach nobody.",
			asks: []ask{
				{expr: `sum by (reason) (rate(vibemesh_edge_gaps_total{$S}[$__rate_interval]))`, legend: "gap: {{reason}}"},
				{expr: `max by (reason) (rate(vibemesh_tail_skipped_total{$S}[$__rate_interval]))`, legend: "skipped: {{reason}}"},
			},
		},
	}
}

// bucketsOf is the rate of the buckets of what was delivered within a minute of being
// stored: later ones are replays to who came back.
const bucketsOf = `sum by (le%s) (rate(vibemesh_edge_delivery_seconds_bucket{$S, le!~"60(\\.0)?|\\+Inf"}[$__rate_interval])) or label_replace(sum%s (rate(vibemesh_edge_delivery_seconds_bucket{$S, le=~"60(\\.0)?"}[$__rate_interval])), "le", "+Inf", "", "")`

// number leaves out what is none, of nothing by nothing.
const number = " >= 0"

func quantile(q float64, by string) string {
	in, out := "", ""
	if by != "" {
		in, out = ", "+by, " by ("+by+")"
	}
	return fmt.Sprintf("histogram_quantile(%v, "+bucketsOf+")"+number, q, in, out)
}

func fast() []panel {
	return []panel{
		{
			title: "From the log to the socket", idle: "nothing was delivered", unit: "s", wide: 12, least: 0, from: 1, to: 2.5,
			about: "Of what was delivered within a minute of being stored; later ones are replays. A dot is a trace of one notification.",
			asks: []ask{
				{expr: quantile(.5, ""), legend: "half within"},
				{expr: quantile(.95, ""), legend: "95% within"},
				{expr: quantile(.99, ""), legend: "99% within", exemplars: true},
			},
		},
		{
			kind: "heatmap", title: "All deliveries", unit: "s", wide: 12, about: "Two bands are two kinds of people: those who were there, and those who came back.",
			asks: []ask{{expr: `sum by (le) (increase(vibemesh_edge_delivery_seconds_bucket{$S}[$__rate_interval]))`, legend: "{{le}}", exemplars: true}},
		},
		{
			title: "Later than 2.5 s", idle: "nothing was delivered", unit: "percentunit", wide: 6, least: 0, from: .05, to: .2, about: "The share of these deliveries.",
			asks: []ask{{expr: `clamp_min(1 - sum(rate(vibemesh_edge_delivery_seconds_bucket{$S, le="2.5"}[$__rate_interval])) / sum(rate(vibemesh_edge_delivery_seconds_bucket{$S, le=~"60(\\.0)?"}[$__rate_interval])), 0)` + number, legend: "late"}},
		},
		{
			title: "Signing in, 99% within", idle: "nobody has signed in", unit: "s", wide: 6, least: 0, from: 1, to: 5, about: "From a complete upgrade request to its answer. Slow: tokens, CPU, or NATS for those who come back.",
			asks: []ask{{expr: `histogram_quantile(0.99, sum by (le) (rate(vibemesh_edge_setup_seconds_bucket{$S}[$__rate_interval])))` + number, legend: "sign-in"}},
		},
		{
			title: "Coming back, 95% within", idle: "nobody has come back", unit: "s", wide: 6, least: 0, about: "Time to place a session, by where it goes on: ring is memory, stream is NATS.",
			asks: []ask{{expr: `histogram_quantile(0.95, sum by (le, source) (rate(vibemesh_edge_resume_seconds_bucket{$S}[$__rate_interval])))` + number, legend: "{{source}}"}},
		},
		{
			title: "HTTP, 99% within", idle: "nothing was asked", unit: "s", wide: 6, least: 0, from: .5, to: 2, about: "By route.",
			asks: []ask{{expr: `histogram_quantile(0.99, sum by (le, route) (rate(vibemesh_api_request_seconds_bucket{$S}[$__rate_interval])))` + number, legend: "{{route}}"}},
		},
	}
}

func hurting() []panel {
	edge := func(expr string) string { return `max by (instance) (` + expr + `)` }
	return []panel{
		{
			kind: "table", title: "Edges", wide: 24, high: 8, about: "Sort by what you suspect. One edge that differs from the others hurts; all of them: look at NATS.",
			merged: []column{
				{title: "sessions", expr: edge(`vibemesh_edge_sessions{$S}`), unit: "short"},
				{title: "99% within", expr: `histogram_quantile(0.99, sum by (le, instance) (rate(vibemesh_edge_delivery_seconds_bucket{$S, le!~"60(\\.0)?|\\+Inf"}[5m])) or label_replace(sum by (instance) (rate(vibemesh_edge_delivery_seconds_bucket{$S, le=~"60(\\.0)?"}[5m])), "le", "+Inf", "", ""))` + number, unit: "s", from: 1, to: 2.5},
				{title: "delivered/s", expr: `sum by (instance) (rate(vibemesh_edge_delivered_total{$S}[5m]))`, unit: "short"},
				{title: "messages behind", expr: edge(`vibemesh_tail_lag_messages{$S} and on (job, instance) vibemesh_edge_sessions`), unit: "short", from: 100, to: 1000},
				{title: "loop lag", expr: edge(`vibemesh_edge_loop_lag_entries{$S}`), unit: "short", from: 100, to: 1000},
				{title: "fell behind/min", expr: `sum by (instance) (rate(vibemesh_edge_behind_total{$S}[5m])) * 60`, unit: "short"},
				{title: "cores", expr: `sum by (instance) (rate(process_cpu_seconds_total{$S}[5m]) and on (job, instance) vibemesh_edge_sessions)`, unit: "short"},
				{title: "memory", expr: edge(`process_resident_memory_bytes{$S} and on (job, instance) vibemesh_edge_sessions`), unit: "bytes"},
				{title: "ready", expr: edge(`vibemesh_ready{$S} and on (job, instance) vibemesh_edge_sessions`), unit: "short"},
				{title: "draining", expr: edge(`vibemesh_edge_draining{$S}`), unit: "short", from: 1, to: 2},
				{title: "up for", expr: edge(`time() - process_start_time_seconds{$S} and on (job, instance) vibemesh_edge_sessions`), unit: "s"},
			},
		},
		{
			title: "99% within, by edge", idle: "nothing was delivered", unit: "s", least: 0, from: 1, to: 2.5, about: "From the log to the socket.",
			asks: []ask{{expr: quantile(.99, "instance"), legend: "{{instance}}"}},
		},
		{
			title: "CPU", unit: "short", least: 0, about: "Cores in use. An edge uses one more than it has loops, at most.",
			asks: []ask{{expr: `rate(process_cpu_seconds_total{$S}[$__rate_interval]) and on (job, instance) vibemesh_build_info`, legend: "{{instance}}"}},
		},
		{
			title: "Entries that the slowest loop has yet to route", unit: "short", least: 0, from: 100, to: 1000, about: "Above 0 for long: the edge is out of CPU.",
			asks: []ask{{expr: `vibemesh_edge_loop_lag_entries{$S}`, legend: "{{instance}}"}},
		},
		{
			title: "Sessions that fell behind", idle: "none", unit: "cps", least: 0, about: "socket: the client or its network is slow. ring: WS_RING_BYTES is small for how long clients lag.",
			asks: []ask{{expr: `rate(vibemesh_edge_behind_total{$S}[$__rate_interval])`, legend: "{{instance}}: {{reason}}"}},
		},
		{
			title: "NATS connections", idle: "none has come back or failed", unit: "cps", least: 0, about: "Reconnects, and errors that a connection reported by itself.",
			asks: []ask{
				{expr: `sum by (instance, connection) (rate(vibemesh_nats_reconnects_total{$S}[$__rate_interval])) > 0`, legend: "{{instance}} {{connection}}: back"},
				{expr: `sum by (instance, connection, error) (rate(vibemesh_nats_errors_total{$S}[$__rate_interval])) > 0`, legend: "{{instance}} {{connection}}: {{error}}"},
			},
		},
		{
			title: "Connections refused, and sessions closed", idle: "none", unit: "cps", least: 0, about: "Before the request was read, by reason; and by close code.",
			asks: []ask{
				{expr: `sum by (instance, reason) (rate(vibemesh_edge_connections_refused_total{$S}[$__rate_interval])) > 0`, legend: "{{instance}}: {{reason}}"},
				{expr: `sum by (code) (rate(vibemesh_edge_closes_total{$S}[$__rate_interval])) > 0`, legend: "closed {{code}}"},
			},
		},
	}
}

func runningOut() []panel {
	const logFull = `max by (namespace, partition) (vibemesh_log_bytes{$M} / (vibemesh_log_limit_bytes{$M} > 0))`
	ours := ` and on (job, instance) vibemesh_build_info`
	// How a process grows while it starts says nothing of the hours to come.
	settled := ` and on (job, instance) time() - process_start_time_seconds{$S} > 3600`
	return []panel{
		{
			kind: "bargauge", title: "Used now, of the node that has least left", unit: "percentunit", wide: 8, least: 0, most: 1, from: .7, to: .9,
			about: "What has no limit is not shown. A full ring is as it should be: look at its span.",
			asks: []ask{
				{expr: `max(process_open_fds{$S} / process_max_fds{$S}` + ours + `)`, legend: "open files"},
				{expr: `max(process_resident_memory_bytes{$S} / (go_gc_gomemlimit_bytes{$S} < 1e15)` + ours + `)`, legend: "memory (GOMEMLIMIT)"},
				{expr: `sum(vibemesh_edge_sessions{$S}) / (sum(vibemesh_edge_sessions_limit{$S}) > 0)`, legend: "sessions"},
				{expr: `max(` + logFull + `)`, legend: "bytes of the log"},
			},
		},
		{
			kind: "stat", title: "Time left, if the last hour goes on", idle: "nothing grows", unit: "s", wide: 8, from: 86400, to: 3600, falls: true,
			about: "Of processes that have run for an hour. Empty: it does not grow.",
			asks: []ask{
				{expr: `min((process_max_fds{$S} - process_open_fds{$S}) / (deriv(process_open_fds{$S}[1h]) > 0)` + ours + settled + `)`, legend: "open files"},
				{expr: `min(((go_gc_gomemlimit_bytes{$S} < 1e15) - process_resident_memory_bytes{$S}) / (deriv(process_resident_memory_bytes{$S}[1h]) > 0)` + ours + settled + `)`, legend: "memory (GOMEMLIMIT)"},
				{expr: `((sum(vibemesh_edge_sessions_limit{$S}) > 0) - sum(vibemesh_edge_sessions{$S})) / (sum(deriv(vibemesh_edge_sessions{$S}[1h])` + settled + `) > 0)`, legend: "sessions"},
				{expr: `min(((vibemesh_log_limit_bytes{$M} > 0) - vibemesh_log_bytes{$M}) / (deriv(vibemesh_log_bytes{$M}[1h]) > 0))`, legend: "bytes of the log"},
				{expr: `min(vibemesh_tls_certificate_expiry_timestamp_seconds{$S} - time())`, legend: "certificate"},
				{expr: `min(vibemesh_nats_credentials_expiry_timestamp_seconds{$S} - time())`, legend: "credentials for NATS"},
			},
		},
		{
			title: "How far back the ring goes", idle: "nothing is in it", unit: "s", wide: 8, least: 0, from: 300, to: 120, falls: true,
			about: "Who comes back within it costs NATS nothing. Short only when the ring is full: raise WS_RING_BYTES.",
			asks: []ask{
				{expr: `vibemesh_edge_ring_span_seconds{$S} and on (job, instance) vibemesh_edge_ring_bytes / vibemesh_edge_ring_limit_bytes > 0.8`, legend: "{{instance}}, full"},
				{expr: `vibemesh_edge_ring_span_seconds{$S} and on (job, instance) vibemesh_edge_ring_bytes / vibemesh_edge_ring_limit_bytes <= 0.8`, legend: "{{instance}}"},
			},
		},
		{
			title: "Open files", unit: "short", wide: 6, least: 0, about: "One for each session, three where TLS is done in the process. And in four hours, if the last hour goes on.",
			asks: []ask{
				{expr: `process_open_fds{$S}` + ours, legend: "{{instance}}"},
				{expr: `predict_linear(process_open_fds{$S}[1h], 4 * 3600)` + ours + settled, legend: "{{instance}} in 4 h"},
				{expr: `min(process_max_fds{$S}` + ours + `)`, legend: "the lowest limit"},
			},
		},
		{
			title: "Memory", unit: "bytes", wide: 6, least: 0, about: "Resident. A session takes some kilobytes (see performance.md), the ring WS_RING_BYTES.",
			asks: []ask{
				{expr: `process_resident_memory_bytes{$S}` + ours, legend: "{{instance}}"},
				{expr: `predict_linear(process_resident_memory_bytes{$S}[1h], 4 * 3600)` + ours + settled, legend: "{{instance}} in 4 h"},
				{expr: `min((go_gc_gomemlimit_bytes{$S} < 1e15)` + ours + `)`, legend: "the lowest GOMEMLIMIT"},
			},
		},
		{
			title: "The log", unit: "bytes", wide: 6, least: 0, about: "On each replica.",
			asks: []ask{
				{expr: `max by (namespace, partition) (vibemesh_log_bytes{$M})`, legend: "partition {{partition}}"},
				{expr: `max by (namespace) (vibemesh_log_limit_bytes{$M} > 0)`, legend: "limit of a partition"},
			},
		},
		{
			title: "How far back the log goes", unit: "s", wide: 6, least: 0, about: "Below WS_HISTORY_AGE for longer than that: its bytes decide, not its age.",
			asks: []ask{
				{expr: `time() - max by (namespace, partition) (vibemesh_log_oldest_timestamp_seconds{$M} > 0)`, legend: "partition {{partition}}"},
				{expr: `max by (namespace) (vibemesh_log_limit_seconds{$M} > 0)`, legend: "WS_HISTORY_AGE"},
			},
		},
	}
}
