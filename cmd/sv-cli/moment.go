package main

import (
	"strings"
	"time"
)

// moment reads a time as people write it: RFC 3339, a duration from now, or a day and
// an hour of the zone. flag is what an error calls it.
func moment(flag, text string, now time.Time, zone *time.Location) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return now.Add(d).UTC(), nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	wrong := usage("%s=%s is no time; it looks like 2031-05-01T09:00:00+02:00, 'tomorrow 09:00', '2031-05-01 09:00' or 10m", flag, text)
	day, hour, ok := strings.Cut(text, " ")
	if !ok {
		return time.Time{}, wrong
	}
	date := now.In(zone)
	switch day {
	case "today":
	case "tomorrow":
		date = date.AddDate(0, 0, 1)
	default:
		var err error
		if date, err = time.Parse(time.DateOnly, day); err != nil {
			return time.Time{}, wrong
		}
	}
	clock, err := time.Parse("15:04", hour)
	if err != nil {
		return time.Time{}, wrong
	}
	at := time.Date(date.Year(), date.Month(), date.Day(), clock.Hour(), clock.Minute(), 0, 0, zone)
	if at.Hour() != clock.Hour() || at.Minute() != clock.Minute() {
		return time.Time{}, usage("%s=%s: there is no %s on that day, as the clocks go forward", flag, text, hour)
	}
	return at, nil
}
