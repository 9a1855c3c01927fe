package main

import (
	"fmt"
	"strings"
)

type object = map[string]any

// row is a question, and the panels that answer it.
type row struct {
	title  string
	panels []panel
}

// panel is one picture. Its zero kind is a time series.
type panel struct {
	kind   string // "stat", "bargauge", "heatmap" or "table"
	title  string
	about  string // shown behind the i: what it means and what to do
	idle   string // what is shown when no query has an answer
	unit   string // of Grafana: "short", "s", "reqps", "bytes", "percentunit"
	wide   int    // of the 24 columns; 0: 8
	high   int    // 0: 8
	stack  bool
	from   float64 // where it gets yellow, and red; both 0: it does not
	to     float64
	least  any // the lower end of the axis, if not nil
	most   any
	words  map[string]string // shown in place of values
	falls  bool              // less is worse: from and to are lower ends
	asks   []ask
	merged []column // of a table
}

// ask is one query. $S stands for the chosen meshes, jobs and nodes, $M for the meshes alone.
type ask struct {
	expr, legend string
	exemplars    bool
}

// column is one column of a table whose rows are nodes; expr has one value for each.
type column struct {
	title, expr, unit string
	from, to          float64
}

const (
	meshes = `namespace=~"$namespace"`
	jobs   = meshes + `, job=~"$job"`
	chosen = jobs + `, instance=~"$node"`
	source = "${datasource}"
)

var fill = strings.NewReplacer("$S", chosen, "$M", meshes)

func (a ask) target(i int, instant bool) object {
	return object{
		"refId": string(rune('A' + i)), "datasource": prometheus(), "editorMode": "code",
		"expr": fill.Replace(a.expr), "legendFormat": a.legend,
		"range": !instant, "instant": instant, "exemplar": a.exemplars,
	}
}

func prometheus() object { return object{"type": "prometheus", "uid": source} }

func dashboard(rows []row) object {
	var panels []object
	id, y := 0, 0
	next := func() int { id++; return id }
	for _, r := range rows {
		panels = append(panels, object{
			"id": next(), "type": "row", "title": r.title, "collapsed": false, "panels": []any{},
			"gridPos": object{"x": 0, "y": y, "w": 24, "h": 1},
		})
		y++
		x, line := 0, 0
		for _, p := range r.panels {
			wide, high := orElse(p.wide, 8), orElse(p.high, 8)
			if x+wide > 24 {
				x, y, line = 0, y+line, 0
			}
			o := p.grafana()
			o["id"], o["gridPos"] = next(), object{"x": x, "y": y, "w": wide, "h": high}
			panels = append(panels, o)
			x, line = x+wide, max(line, high)
		}
		y += line
	}
	return object{
		"uid": "vibemesh", "title": "Vibemesh", "tags": []string{"vibemesh"}, "schemaVersion": 39, "version": 1,
		"description": "Do people get their notifications, how fast, which edge hurts, and what will run out first?",
		"editable":    true, "graphTooltip": 1, "timezone": "", "refresh": "30s", "time": object{"from": "now-3h", "to": "now"},
		"links": []object{{
			"title": "Runbooks", "type": "link", "icon": "doc", "targetBlank": true,
			"url": "https://github.com/socialvibes/vibemesh/blob/main/docs/operators.md#runbooks",
		}},
		"templating": object{"list": variables()}, "annotations": object{"list": annotations()}, "panels": panels,
	}
}

func orElse(n, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return n
}

func variables() []object {
	values := func(name, label, query string) object {
		return object{
			"name": name, "label": label, "type": "query", "datasource": prometheus(), "query": object{"query": query, "refId": name},
			"definition": query, "multi": true, "includeAll": true, "allValue": ".*", "refresh": 2, "sort": 1,
			"current": object{"text": "All", "value": "$__all"},
		}
	}
	return []object{
		{"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "hide": 0, "refresh": 1},
		values("namespace", "Mesh", `label_values(vibemesh_build_info, namespace)`), // none: "All" fits
		values("job", "Job", `label_values(vibemesh_build_info{`+meshes+`}, job)`),
		values("node", "Node", `label_values(vibemesh_build_info{`+jobs+`}, instance)`),
	}
}

func annotations() []object {
	mark := func(name, colour, expr, title string) object {
		return object{
			"name": name, "datasource": prometheus(), "enable": true, "iconColor": colour, "step": "30s",
			"expr": fill.Replace(expr), "titleFormat": title, "textFormat": "{{instance}}", "tagKeys": "job",
		}
	}
	return []object{
		mark("Starts", "purple", `time() - process_start_time_seconds{$S} < 60 and on (job, instance) vibemesh_build_info`, "started"),
		mark("Drains", "blue", `vibemesh_edge_draining{$S} == 1`, "drains"),
		mark("Pages", "red", `ALERTS{alertname=~"Vibemesh.*", alertstate="firing", severity="page", namespace=~"$namespace|"}`, "{{alertname}}"),
	}
}

func (p panel) grafana() object {
	kind := p.kind
	if kind == "" {
		kind = "timeseries"
	}
	instant := kind == "stat" || kind == "bargauge" || kind == "table"
	targets := []object{}
	for i, a := range p.asks {
		t := a.target(i, instant)
		if kind == "heatmap" {
			t["format"] = "heatmap"
		}
		targets = append(targets, t)
	}
	fields := object{"unit": p.unit, "custom": object{}, "color": object{"mode": "palette-classic"}}
	if p.least != nil {
		fields["min"] = p.least
	}
	if p.most != nil {
		fields["max"] = p.most
	}
	if p.from != 0 || p.to != 0 {
		fields["thresholds"] = thresholds(p.from, p.to, p.falls)
		if instant {
			fields["color"] = object{"mode": "thresholds"}
		}
	}
	if p.idle != "" {
		fields["noValue"] = p.idle
	}
	if p.words != nil {
		fields["mappings"] = []object{{"type": "value", "options": mappings(p.words)}}
	}
	o := object{
		"type": kind, "title": p.title, "description": p.about, "datasource": prometheus(), "targets": targets,
		"fieldConfig": object{"defaults": fields, "overrides": []any{}},
	}
	switch kind {
	case "timeseries":
		custom := object{"lineWidth": 1, "fillOpacity": 8, "showPoints": "never", "spanNulls": false}
		if p.stack {
			custom["stacking"], custom["fillOpacity"] = object{"mode": "normal", "group": "A"}, 30
		}
		if p.from != 0 || p.to != 0 {
			custom["thresholdsStyle"] = object{"mode": "dashed"}
		}
		fields["custom"] = custom
		o["options"] = object{
			"legend":  object{"displayMode": "table", "placement": "bottom", "showLegend": true, "calcs": []string{"lastNotNull", "max"}},
			"tooltip": object{"mode": "multi", "sort": "desc"},
		}
	case "stat", "bargauge":
		o["options"] = object{
			"reduceOptions": object{"calcs": []string{"lastNotNull"}, "fields": "", "values": false},
			"orientation":   "horizontal", "textMode": "auto", "colorMode": "value", "graphMode": "none", "displayMode": "basic",
		}
	case "heatmap":
		o["options"] = object{
			"calculate": false, "yAxis": object{"unit": p.unit}, "cellGap": 1,
			"color": object{"mode": "scheme", "scheme": "Oranges", "steps": 32}, "exemplars": object{"color": "rgba(0,120,255,0.8)"},
		}
	case "table":
		p.table(o)
	}
	return o
}

func thresholds(from, to float64, falls bool) object {
	colours := []string{"green", "yellow", "red"}
	if falls {
		colours = []string{"red", "yellow", "green"}
		from, to = to, from
	}
	steps := []object{{"color": colours[0], "value": nil}, {"color": colours[1], "value": from}, {"color": colours[2], "value": to}}
	if from == to {
		steps = []object{{"color": colours[0], "value": nil}, {"color": colours[2], "value": to}}
	}
	return object{"mode": "absolute", "steps": steps}
}

func mappings(words map[string]string) object {
	options := object{}
	for value, text := range words {
		options[value] = object{"text": text}
	}
	return options
}

// table joins the values of a node into one line.
func (p panel) table(o object) {
	var targets, overrides []object
	rename := object{"instance": "node"}
	for i, c := range p.merged {
		t := ask{expr: c.expr}.target(i, true)
		t["format"] = "table"
		targets = append(targets, t)
		value := fmt.Sprint("Value #", t["refId"])
		rename[value] = c.title
		properties := []object{{"id": "unit", "value": c.unit}}
		if c.from != 0 || c.to != 0 {
			properties = append(properties,
				object{"id": "thresholds", "value": thresholds(c.from, c.to, false)},
				object{"id": "custom.cellOptions", "value": object{"type": "color-background", "mode": "basic"}})
		}
		overrides = append(overrides, object{"matcher": object{"id": "byName", "options": c.title}, "properties": properties})
	}
	o["targets"] = targets
	o["fieldConfig"].(object)["overrides"] = overrides
	o["transformations"] = []object{
		{"id": "joinByField", "options": object{"byField": "instance", "mode": "outer"}},
		{"id": "filterFieldsByName", "options": object{"include": object{"pattern": "^(instance|Value #.*)$"}}},
		{"id": "organize", "options": object{"renameByName": rename}},
	}
	o["options"] = object{"showHeader": true, "cellHeight": "sm", "sortBy": []object{{"displayName": p.merged[0].title, "desc": true}}}
}
