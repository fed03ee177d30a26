package vendor

import (
	"embed"
	"html/template"
	"io/fs"

	"quittance/services/sandbox/internal/page"
)

//go:embed *.html
var files embed.FS

// Menu is what the template "faults" shows: the fault menu, filled in.
type Menu struct {
	Faults       Faults
	StatusFaults []StatusFault
	// AckOrRefund: the vendor gives money back whose callback is not acknowledged.
	AckOrRefund bool
}

// MenuOf is a menu filled in with faults.
func MenuOf(faults Faults) Menu { return Menu{Faults: faults, StatusFaults: StatusFaults} }

// Parse is page.Parse for templates that show the fault menu.
func Parse(fsys fs.FS, name string) *template.Template {
	return template.Must(page.Parse(fsys, name).ParseFS(files, "menu.html"))
}
