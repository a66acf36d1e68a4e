package machines

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/clients"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// listed is what is told of a client.
type listed struct {
	Client       string   `json:"client"`
	Keys         []string `json:"keys"`
	Addresses    []string `json:"addresses"`
	Services     []string `json:"services"`
	Users        []string `json:"users"`
	Enroll       bool     `json:"enroll"`
	Send         bool     `json:"send"`
	SendsPerHour int      `json:"sends_per_hour"`
	PerMinute    int      `json:"per_minute"`
	Dialogues    int      `json:"dialogues"`
	WrongCodes   int      `json:"wrong_codes"`
}

func clientList(a *invocation.App) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List the machines whose logins are decided here",
		Long: `list shows the clients, their keys and what they may ask for; a dash is "any". A
file that cannot be used is an error, and its client is refused.`,
		Example: `  otpctl client list
  otpctl client list --json | jq -r '.[].client'`,
		Args: cobra.NoArgs,
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON array, an object for each")
	return a.Does(c, func(context.Context, []string) error {
		gateway, err := gatewayOf(a)
		if err != nil {
			return err
		}
		all, wrong, err := clients.All(gateway.Clients)
		if err != nil {
			return err
		}
		rows := []listed{}
		for _, client := range all {
			rows = append(rows, rowOf(client))
		}
		if asJSON {
			err = a.JSON(rows)
		} else {
			err = show(a, rows)
		}
		return errors.Join(append(wrong, err)...)
	})
}

func rowOf(client clients.Client) listed {
	row := listed{
		Client: client.Client, Keys: []string{}, Addresses: []string{}, Services: append([]string{}, client.Services...), Users: []string{},
		Enroll: client.Enroll, Send: client.Send, SendsPerHour: client.SendsPerHour, PerMinute: client.PerMinute, Dialogues: client.Dialogues, WrongCodes: client.WrongCodes,
	}
	for _, key := range client.Keys {
		row.Keys = append(row.Keys, key.String())
	}
	for _, address := range client.Addresses {
		row.Addresses = append(row.Addresses, address.String())
	}
	for _, user := range client.Users {
		row.Users = append(row.Users, string(user))
	}
	return row
}

func show(a *invocation.App, rows []listed) error {
	if len(rows) == 0 {
		a.Say("There are no clients.")
		return nil
	}
	table := tabwriter.NewWriter(a.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "CLIENT\tKEYS\tFROM\tSERVICES\tUSERS\tENROLL\tSEND")
	for _, r := range rows {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Client, some(r.Keys), some(r.Addresses), some(r.Services), some(r.Users), word(r.Enroll), word(r.Send))
	}
	return table.Flush()
}

func some(texts []string) string {
	if len(texts) == 0 {
		return "-"
	}
	return invocation.Printable(strings.Join(texts, ","))
}

func word(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}
