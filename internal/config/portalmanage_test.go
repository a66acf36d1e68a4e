package config

import (
	"strings"
	"testing"
)

func TestPortalManages(t *testing.T) {
	const begin = "[email]\nsmtp = 'smtps://h'\nfrom = 'a@h'\n[portal]\nurl = 'https://h'\n"
	settings, err := Parse("f", []byte(begin))
	if err != nil || settings.Portal.Manage || settings.Portal.ManageEmail.Text != defaultManage {
		t.Fatalf("%+v, %v", settings.Portal, err)
	}
	settings, err = Parse("f", []byte(begin+"manage = true\nreport_to = 'security@example.com'\n[portal.change_email]\ntext = '{what} {time} {remote}'\n"))
	if err != nil || !settings.Portal.Manage || settings.Portal.ReportTo == "" || settings.Portal.ChangeEmail.Text != "{what} {time} {remote}" {
		t.Fatalf("%+v, %v", settings.Portal, err)
	}
	if got := settings.Portal.ManageTo("abc"); got != "https://h/m/abc" {
		t.Errorf("a link is %s", got)
	}
	for _, test := range []struct{ text, want string }{
		{"[portal]\nurl = 'https://h'\nmanage = true\n", ":3: portal.manage: expected [email] too"},
		{begin + "report_to = 'security@example.com'\n", ":6: portal.report_to: expected manage = true too"},
		{begin + "manage = true\nreport_to = 'security'\n", ":7: portal.report_to: expected one address"},
		{begin + "manage = true\n[portal.manage_email]\ntext = 'hello'\n", ":8: portal.manage_email.text: expected {link} in it"},
		{begin + "manage = true\n[portal.change_email]\ntext = 'hello {user}'\n", ":8: portal.change_email.text: expected {what} in it"},
		{begin + "manage = true\n[portal.change_email]\nhtml = 'hello {user}'\n", ":8: portal.change_email.html: expected {what} in it"},
		{begin + "manage = true\n[portal.change_email]\nsubject = ''\n", ":8: portal.change_email.subject: expected one line"},
		{begin + "manage = true\n[portal.change_email]\ntext = '{what} {link}'\n", "{link} is not known here"},
	} {
		if _, err := Parse("f", []byte(test.text)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q:\n got %v\nwant %s", test.text, err, test.want)
		}
	}
}
