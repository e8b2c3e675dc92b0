// Classify says what kind of file each of its arguments is, and where the model that says so ran.
//
//	go run ./examples/classify -labels ../../examples/models/magika/labels.txt client.go go.sum
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"

	"ortolan.example/ortolan"
)

const model = "magika"

func main() {
	address := flag.String("address", "127.0.0.1:8001", "`HOST:PORT` of a server that has the example model magika")
	labels := flag.String("labels", "", "`file` with the names of the model's classes, one a line; without it they have numbers")
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := classify(*address, *labels, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func classify(address, labels string, paths []string) error {
	names, err := readLabels(labels)
	if err != nil {
		return err
	}
	client, err := ortolan.New(address)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx := context.Background() // each call then has the client's own deadline

	var rows []int32
	for _, path := range paths {
		row, err := features(path)
		if err != nil {
			return err
		}
		rows = append(rows, row...)
	}
	input := ortolan.NewTensor("bytes", []int64{int64(len(paths)), rowLength}, rows)
	answer, err := client.Infer(ctx, model, []ortolan.Tensor{input})
	if err != nil {
		return err
	}
	scores, err := ortolan.Output[float32](answer, "target_label")
	if err != nil {
		return err
	}
	classes := len(scores) / len(paths)
	for index, path := range paths {
		best, score := greatest(scores[index*classes : (index+1)*classes])
		fmt.Printf("%s: %s (%.1f%%)\n", path, nameOf(best, names), 100*score)
	}
	return printAssignment(ctx, client)
}

func printAssignment(ctx context.Context, client *ortolan.Client) error {
	assignments, err := client.Assignments(ctx, model)
	if err != nil {
		return err
	}
	for _, it := range assignments {
		fmt.Printf("%s/%s: %s on %s, contract %s, nodes by provider %v\n",
			it.Model, it.Version, it.State, it.ServingProvider, it.Verdict, it.Nodes)
	}
	return nil
}

func greatest(scores []float32) (place int, score float32) {
	for index, value := range scores {
		if value > score {
			place, score = index, value
		}
	}
	return place, score
}

func readLabels(path string) ([]string, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	return strings.Fields(string(text)), err
}

func nameOf(class int, names []string) string {
	if class < len(names) {
		return names[class]
	}
	return fmt.Sprintf("class %d", class)
}
