package main

import (
	"fmt"
	"strings"
	"time"
)

const (
	patience   = 60 * time.Second
	partitions = 3
	records    = 30
)

// The lines that the runner reads: PASS feature, FAIL feature reason, SKIP feature reason, VERSION name version.
func line(words ...any) {
	fmt.Println(strings.Join(strings.Fields(fmt.Sprintln(words...)), " "))
}

func feature(name string, tell func() error) {
	if err := tell(); err != nil {
		line("FAIL", name, err)
		return
	}
	line("PASS", name)
}

func same[T comparable](expected, found T, what string) error {
	if expected != found {
		return fmt.Errorf("%s: expected %v, found %v", what, expected, found)
	}
	return nil
}

func until(what string, condition func() (bool, error)) error {
	deadline := time.Now().Add(patience)
	for {
		holds, err := condition()
		if holds || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %v: %s", patience, what)
		}
	}
}

// The first error of several checks.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
